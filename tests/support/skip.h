/* Skipping a cmocka test aloud: tools/run-tests counts the skip and lists the reason. */
#ifndef TESTS_SUPPORT_SKIP_H
#define TESTS_SUPPORT_SKIP_H

#define skip_because(...)           \
    do {                            \
        print_message("SKIP ");     \
        print_message(__VA_ARGS__); \
        print_message("\n");        \
        skip();                     \
    } while (0)

#endif
