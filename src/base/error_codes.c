/* The table of error codes. */
#include "base/error_codes.h"

#include "base/mem.h"

static const struct error_code_info table[] = {
#define ERROR_CODE_ROW(number, name, what, todo) {ERROR_##name, "E" #number, what, todo},
    ERROR_CODES(ERROR_CODE_ROW)
#undef ERROR_CODE_ROW
};

const struct error_code_info *error_codes(size_t *ret_len)
{
    *ret_len = COUNT_OF(table);
    return table;
}

const struct error_code_info *error_code_find(int number)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if ((int)table[i].code == number) {
            return &table[i];
        }
    }
    return NULL;
}
