/* Times the operations of training; returns the exit status. NULL: the best level; 0: all threads; only: products whose name has this
 * in it, NULL: everything. */
#ifndef BENCH_TRAIN_H
#define BENCH_TRAIN_H
int bench_train(const char *level_name, int threads, const char *only);
#endif
