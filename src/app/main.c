/* juan: the command. */
#include <stdio.h>

#include "changjuan.h"

int main(void)
{
    printf("juan %s\n", cj_version());
    return 0;
}
