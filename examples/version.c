/* The smallest program against libchangjuan: cc version.c $(pkg-config --cflags --libs changjuan) */
#include <changjuan.h>
#include <stdio.h>

int main(void)
{
    printf("libchangjuan %s\n", cj_version());
    return 0;
}
