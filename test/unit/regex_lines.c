/* Reads expressions from stdin, each as its length in decimal, a newline and its bytes; prints for
 * each "ok <cost>" or "bad <reason>". For the comparison with RE2 itself. */
#include <stdio.h>

#include "base/limits.h"
#include "kinds/regex.h"

int main(void)
{
    static char text[1 << 16];
    size_t len;
    while (scanf("%zu", &len) == 1 && getchar() == '\n' && len < sizeof(text)) {
        if (fread(text, 1, len, stdin) != len) {
            return 1;
        }
        /* A copy of its own size, so that reading past the end is found. */
        char *copy = mem_memdup(text, len);
        struct err e = ERR_INIT;
        uint32_t cost = 0;
        if (regex_check((struct str){copy, len}, &cost, &e) == 0) {
            printf("ok %u\n", cost);
        } else {
            printf("bad %s\n", e.text);
        }
        free(copy);
    }
    return 0;
}
