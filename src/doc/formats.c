/* Checks of names and addresses. */
#include "doc/formats.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/limits.h"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* True when every byte is alphanumeric (lower case only unless any_case) or in `also`, and the
 * first and last are alphanumeric. */
static bool is_word(struct str s, size_t max_bytes, bool any_case, const char *also)
{
    if (s.len == 0 || s.len > max_bytes) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = any_case ? is_alnum(c) : is_lower_alnum(c);
        bool inner = i > 0 && i + 1 < s.len && c && strchr(also, c);
        if (!plain && !inner) {
            return false;
        }
    }
    return true;
}

static int verdict(bool ok)
{
    return ok ? 0 : -1;
}

static int check_dns_label(struct str s, struct err *why)
{
    if (s.len > LIMIT_LABEL_BYTES) {
        return err_set(why, "it has %zu characters, %d are allowed", s.len, LIMIT_LABEL_BYTES);
    }
    return verdict(is_word(s, LIMIT_LABEL_BYTES, false, "-"));
}

static int check_dns_1035(struct str s, struct err *why)
{
    if (s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9') {
        return err_set(why, "it begins with a digit");
    }
    return check_dns_label(s, why);
}

static bool is_subdomain(struct str s)
{
    if (s.len > LIMIT_NAME_BYTES) {
        return false;
    }
    struct str label, rest = s;
    bool more = true;
    while (more) {
        more = str_cut(rest, '.', &label, &rest);
        if (!is_word(label, LIMIT_NAME_BYTES, false, "-")) {
            return false;
        }
    }
    return true;
}

static int check_dns_subdomain(struct str s, struct err *why)
{
    if (s.len > LIMIT_NAME_BYTES) {
        return err_set(why, "it has %zu characters, %d are allowed", s.len, LIMIT_NAME_BYTES);
    }
    return verdict(is_subdomain(s));
}

static int check_port_name(struct str s, struct err *why)
{
    if (s.len > 15) {
        return err_set(why, "it has %zu characters, 15 are allowed", s.len);
    }
    bool letter = false;
    for (size_t i = 0; i < s.len; i++) {
        letter |= s.ptr[i] >= 'a' && s.ptr[i] <= 'z';
        if (i > 0 && s.ptr[i] == '-' && s.ptr[i - 1] == '-') {
            return err_set(why, "it has two dashes in a row");
        }
    }
    return verdict(letter && is_word(s, 15, false, "-"));
}

static int check_qualified(struct str s, bool any_case_prefix)
{
    struct str prefix, name;
    if (!str_cut(s, '/', &prefix, &name)) {
        return verdict(is_word(s, LIMIT_LABEL_BYTES, true, "-_."));
    }
    char lower[LIMIT_NAME_BYTES];
    if (prefix.len > sizeof(lower)) {
        return -1;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        bool fold = any_case_prefix && prefix.ptr[i] >= 'A' && prefix.ptr[i] <= 'Z';
        lower[i] = fold ? (char)(prefix.ptr[i] + ('a' - 'A')) : prefix.ptr[i];
    }
    return verdict(is_subdomain((struct str){lower, prefix.len}) &&
                   is_word(name, LIMIT_LABEL_BYTES, true, "-_."));
}

static int check_label_key(struct str s, struct err *why)
{
    return check_qualified(s, false);
}

static int check_annotation_key(struct str s, struct err *why)
{
    return check_qualified(s, true);
}

static int check_label_value(struct str s, struct err *why)
{
    if (s.len > LIMIT_LABEL_BYTES) {
        return err_set(why, "it has %zu characters, %d are allowed", s.len, LIMIT_LABEL_BYTES);
    }
    return verdict(s.len == 0 || is_word(s, LIMIT_LABEL_BYTES, true, "-_."));
}

static int check_config_key(struct str s, struct err *why)
{
    if (s.len == 0 || s.len > LIMIT_NAME_BYTES || str_is(s, ".") || str_starts(s, "..")) {
        return -1;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && (!s.ptr[i] || !strchr("-_.", s.ptr[i]))) {
            return -1;
        }
    }
    return 0;
}

static int check_env_name(struct str s, struct err *why)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] == 0x7f || s.ptr[i] == '=') {
            return -1;
        }
    }
    return verdict(s.len > 0);
}

static int check_header_name(struct str s, struct err *why)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && (!s.ptr[i] || !strchr("!#$%&'*+-.^_`|~", s.ptr[i]))) {
            return -1;
        }
    }
    return verdict(s.len > 0);
}

int format_ip_version(struct str s)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr addr;
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 0, s.len)) {
        return 0;
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    if (inet_pton(AF_INET, text, &addr) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, &addr) == 1 ? 6 : 0;
}

static int check_ip(struct str s, struct err *why)
{
    return verdict(format_ip_version(s) != 0);
}

static int check_cidr(struct str s, struct err *why)
{
    struct str address, bits;
    if (!str_cut(s, '/', &address, &bits)) {
        if (format_ip_version(s)) {
            return err_set(why, "the prefix length is missing, as in %.*s/%d", STR_ARG(s),
                           format_ip_version(s) == 4 ? 32 : 128);
        }
        return -1;
    }
    int version = format_ip_version(address);
    int64_t n;
    if (version == 0) {
        return err_set(why, "what is before the / isn't an IP address");
    }
    if (bits.len > 3 || !str_int(bits, 0, version == 4 ? 32 : 128, &n)) {
        return err_set(why, "what is after the / isn't a number from 0 to %d",
                       version == 4 ? 32 : 128);
    }
    return 0;
}

static size_t digits(struct str s, size_t i)
{
    size_t n = 0;
    while (i + n < s.len && s.ptr[i + n] >= '0' && s.ptr[i + n] <= '9') {
        n++;
    }
    return n;
}

/* "1", "0.5", "100m", "64Mi", "1e3". */
static int check_quantity(struct str s, struct err *why)
{
    static const char *const suffixes[] = {"n", "u",  "m",  "k",  "M",  "G",  "T", "P",
                                           "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t i = digits(s, 0), n = i;
    if (i < s.len && s.ptr[i] == '.') {
        size_t fraction = digits(s, i + 1);
        i += 1 + fraction;
        n += fraction;
    }
    if (n == 0 || i == s.len) {
        return verdict(n > 0);
    }
    struct str rest = {s.ptr + i, s.len - i};
    for (size_t k = 0; k < COUNT_OF(suffixes); k++) {
        if (str_is(rest, suffixes[k])) {
            return 0;
        }
    }
    size_t sign = rest.len > 1 && (rest.ptr[1] == '+' || rest.ptr[1] == '-');
    bool exponent = rest.ptr[0] == 'e' || rest.ptr[0] == 'E';
    return verdict(exponent && digits(rest, 1 + sign) > 0 &&
                   1 + sign + digits(rest, 1 + sign) == rest.len);
}

static int check_absolute_path(struct str s, struct err *why)
{
    return verdict(s.len > 0 && s.ptr[0] == '/');
}

const struct field_format format_dns_label = {
    "a name of lower-case letters, digits and dashes (at most 63)",
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", check_dns_label, 63};
const struct field_format format_dns_1035 = {
    "a name of lower-case letters, digits and dashes that begins with a letter (at most 63)",
    "^[a-z]([-a-z0-9]*[a-z0-9])?$", check_dns_1035, 63};
const struct field_format format_dns_subdomain = {
    "a name of lower-case letters, digits, dashes and dots (at most 253)",
    "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", check_dns_subdomain, 253};
const struct field_format format_port_name = {
    "a port name of lower-case letters, digits and single dashes with at least one letter (at most "
    "15)",
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", check_port_name, 15};
const struct field_format format_label_key = {
    "a label's key such as \"app\" or \"example.com/app\"", NULL, check_label_key, 0};
const struct field_format format_annotation_key = {
    "an annotation's key such as \"example.com/name\"", NULL, check_annotation_key, 0};
const struct field_format format_label_value = {
    "a label's value of letters, digits, dashes, underscores and dots (at most 63)", NULL,
    check_label_value, 0};
const struct field_format format_config_key = {
    "a key of letters, digits, dashes, underscores and dots (at most 253)", NULL, check_config_key,
    0};
const struct field_format format_env_name = {"a variable's name without blanks and \"=\"", NULL,
                                             check_env_name, 0};
const struct field_format format_header_name = {"the name of an HTTP header", NULL,
                                                check_header_name, 0};
const struct field_format format_ip = {"an IP address", NULL, check_ip, 0};
const struct field_format format_cidr = {"an IP range such as \"10.0.0.0/8\"",
                                         "^[0-9a-fA-F:.]+/[0-9]{1,3}$", check_cidr, 64};
const struct field_format format_absolute_path = {"a path that begins with /", "^/",
                                                  check_absolute_path, 0};
const struct field_format format_quantity = {
    "an amount such as \"100m\" or \"64Mi\"",
    "^[0-9]*(\\.?[0-9]+|[0-9]\\.?)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$", check_quantity, 64};
