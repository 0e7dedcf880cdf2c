/* A parser of RE2's syntax, as Envoy sets it up: Perl's classes and flags, Latin-1, no POSIX mode.
 */
#include "kinds/regex.h"

#include <string.h>

#include "base/limits.h"
#include "kinds/regex_class.h"

#define REPEAT_MAX 1000

struct parser {
    struct str s;
    size_t at;
    bool fold; /* (?i) is on: letters cost twice */
    struct err *e;
};

/* What is known of a piece of the expression. */
struct piece {
    uint64_t cost;   /* instructions, at most */
    uint32_t repeat; /* product of the bounds of nested repetitions */
    bool operand;    /* there is something that an operator could repeat */
};

static int parse_alternatives(struct parser *p, int depth, struct piece *ret);

static bool at_end(const struct parser *p)
{
    return p->at >= p->s.len;
}

static char peek(const struct parser *p, size_t ahead)
{
    return p->at + ahead < p->s.len ? p->s.ptr[p->at + ahead] : 0;
}

static bool looking_at(const struct parser *p, const char *text)
{
    return str_starts((struct str){p->s.ptr + p->at, p->s.len - p->at}, text);
}

/* Characters are counted from 1 in messages. */
static int bad(struct parser *p, size_t at, const char *what)
{
    return err_set(p->e, "%s, at character %zu", what, at + 1);
}

static bool read_number(struct parser *p, uint32_t *ret)
{
    size_t from = p->at;
    uint32_t n = 0;
    while (peek(p, 0) >= '0' && peek(p, 0) <= '9' && !at_end(p)) {
        n = n > REPEAT_MAX ? n : n * 10 + (uint32_t)(peek(p, 0) - '0');
        p->at++;
    }
    bool leading_zero = p->at - from > 1 && p->s.ptr[from] == '0';
    *ret = n;
    return p->at > from && !leading_zero;
}

#define UNBOUNDED UINT32_MAX

/* "{2}", "{2,}", "{2,5}"; anything else that begins with { is literal text, and p stays. */
static bool read_bounds(struct parser *p, uint32_t *ret_min, uint32_t *ret_max)
{
    size_t from = p->at++;
    bool ok = read_number(p, ret_min);
    *ret_max = *ret_min;
    if (ok && peek(p, 0) == ',') {
        p->at++;
        *ret_max = UNBOUNDED;
        ok = peek(p, 0) == '}' || read_number(p, ret_max);
    }
    if (!ok || peek(p, 0) != '}') {
        p->at = from;
        return false;
    }
    p->at++;
    return true;
}

static int apply_bounds(struct parser *p, size_t from, uint32_t min, uint32_t max, struct piece *x)
{
    if (min > REPEAT_MAX || (max != UNBOUNDED && (max > REPEAT_MAX || max < min))) {
        return bad(p, from, "a repetition's bounds must grow and be at most 1000");
    }
    uint32_t most = max == UNBOUNDED ? min : max;
    x->repeat *= most > 0 ? most : 1;
    if (x->repeat > REPEAT_MAX) {
        return bad(p, from, "repetitions in repetitions come to more than 1000");
    }
    uint64_t optional =
        max == UNBOUNDED ? (min == 0 ? x->cost + 1 : 1) : (max - min) * (x->cost + 1);
    x->cost = x->cost * min + optional + 3;
    return 0;
}

/* An operator after an operand, with its lazy "?". *ret_found: there was one. */
static int parse_operator(struct parser *p, struct piece *last, bool *ret_found)
{
    char c = peek(p, 0);
    size_t from = p->at;
    uint32_t min = 0, max = 0;
    *ret_found = false;
    bool braces = c == '{' && read_bounds(p, &min, &max);
    if (!braces && c != '*' && c != '+' && c != '?') {
        return 0;
    }
    *ret_found = true;
    if (!last->operand) {
        return bad(p, from, "there is nothing before this operator that it could repeat");
    }
    if (braces) {
        if (apply_bounds(p, from, min, max, last) < 0) {
            return -1;
        }
    } else {
        p->at++;
        last->cost += 3;
    }
    p->at += peek(p, 0) == '?';
    c = peek(p, 0);
    from = p->at;
    if (c == '*' || c == '+' || c == '?' || (c == '{' && read_bounds(p, &min, &max))) {
        return bad(p, from, "an operator can't follow another one (there are no possessive ones)");
    }
    return 0;
}

static int parse_name(struct parser *p)
{
    size_t from = p->at;
    while (!at_end(p) && (regex_is_word(peek(p, 0)))) {
        p->at++;
    }
    size_t len = p->at - from;
    if (len == 0 || peek(p, 0) != '>') {
        return bad(p, from, "expected a group's name of letters, digits and _, and then >");
    }
    p->at++;
    return 0;
}

/* After "(?": flags up to ":" (a group follows) or ")" (they hold from here on). */
static int parse_flags(struct parser *p, bool *ret_group)
{
    bool negated = false, any = false;
    for (;; p->at++) {
        char c = peek(p, 0);
        if (c == ':' || c == ')') {
            break;
        }
        if (c == '-' && !negated) {
            negated = true;
            any = false;
        } else if (c && strchr("imsU", c)) {
            p->fold = c == 'i' ? !negated : p->fold;
            any = true;
        } else {
            return bad(p, p->at,
                       "RE2 has no such group: it knows (?:...), (?P<name>...) and the "
                       "flags i, m, s, U, but no lookahead, lookbehind or conditions");
        }
    }
    if (negated && !any) {
        return bad(p, p->at, "the flag that - should clear is missing");
    }
    *ret_group = peek(p, 0) == ':';
    p->at++;
    return 0;
}

static int parse_group(struct parser *p, int depth, struct piece *ret, bool *ret_group)
{
    size_t from = p->at++;
    bool fold = p->fold;
    *ret_group = true;
    uint64_t own = 2;
    if (peek(p, 0) == '?') {
        bool lookbehind = looking_at(p, "?<=") || looking_at(p, "?<!");
        if (looking_at(p, "?P<") || (looking_at(p, "?<") && !lookbehind)) {
            p->at += looking_at(p, "?P<") ? 3 : 2;
            if (parse_name(p) < 0) {
                return -1;
            }
        } else {
            own = 0;
            p->at++;
            if (parse_flags(p, ret_group) < 0) {
                return -1;
            }
        }
    }
    if (!*ret_group) {
        return 0;
    }
    if (depth >= LIMIT_REGEX_DEPTH) {
        return bad(p, from, "groups are nested too deeply");
    }
    if (parse_alternatives(p, depth + 1, ret) < 0) {
        return -1;
    }
    if (peek(p, 0) != ')') {
        return bad(p, from, "the ( is never closed");
    }
    p->at++;
    p->fold = fold;
    ret->cost += own;
    ret->operand = true;
    return 0;
}

/* "\Q...\E": literal text; without the end it goes on to the end. */
static void parse_quoted(struct parser *p, struct piece *ret)
{
    p->at += 2;
    size_t from = p->at;
    while (!at_end(p) && !looking_at(p, "\\E")) {
        p->at++;
    }
    *ret = (struct piece){
        .cost = (p->at - from) * (p->fold ? 2 : 1), .repeat = 1, .operand = p->at > from};
    p->at += looking_at(p, "\\E") ? 2 : 0;
}

static int parse_escape(struct parser *p, struct piece *ret)
{
    char c = peek(p, 1);
    *ret = (struct piece){.cost = 1, .repeat = 1, .operand = true};
    if (c && strchr("bBAzC", c)) {
        p->at += 2;
        return 0;
    }
    if (c == 'Q') {
        parse_quoted(p, ret);
        return 0;
    }
    struct regex_class class = {0};
    int n = regex_class_escape(p->s, &p->at, &class, p->e);
    if (n == 0) {
        unsigned char byte;
        n = regex_char_escape(p->s, &p->at, &byte, p->e);
        ret->cost = p->fold ? 2 : 1;
    } else if (n > 0) {
        ret->cost = regex_class_cost(&class, p->fold);
    }
    return n < 0 ? -1 : 0;
}

/* A character outside ASCII is several bytes to Envoy, so an operator would repeat the last only.
 */
static int parse_literal(struct parser *p, struct piece *ret)
{
    size_t from = p->at++;
    *ret = (struct piece){.cost = p->fold ? 2 : 1, .repeat = 1, .operand = true};
    if ((unsigned char)p->s.ptr[from] < 0x80) {
        return 0;
    }
    while (!at_end(p) && (unsigned char)peek(p, 0) >= 0x80) {
        p->at++;
        ret->cost += p->fold ? 2 : 1;
    }
    uint32_t min, max;
    size_t behind = p->at;
    char c = peek(p, 0);
    bool repeated = c == '*' || c == '+' || c == '?' || (c == '{' && read_bounds(p, &min, &max));
    p->at = behind;
    return repeated ? bad(p, from, "put characters outside ASCII into (?:...) to repeat them") : 0;
}

/* One thing that an operator may follow. *ret_group false: flags, which are no thing. */
static int parse_atom(struct parser *p, int depth, struct piece *ret, bool *ret_thing)
{
    *ret_thing = true;
    *ret = (struct piece){.cost = 1, .repeat = 1, .operand = true};
    switch (peek(p, 0)) {
    case '(':
        return parse_group(p, depth, ret, ret_thing);
    case '[': {
        struct regex_class class = {0};
        if (regex_class_parse(p->s, &p->at, &class, p->e) < 0) {
            return -1;
        }
        ret->cost = regex_class_cost(&class, p->fold);
        return 0;
    }
    case '\\':
        return parse_escape(p, ret);
    case '.':
        ret->cost = 2;
        p->at++;
        return 0;
    case '^':
    case '$':
        p->at++;
        return 0;
    default:
        return parse_literal(p, ret);
    }
}

/* Up to "|", ")" or the end. `before`: what an operator at the beginning would repeat is missing.
 */
static int parse_sequence(struct parser *p, int depth, struct piece *ret)
{
    struct piece last = {.repeat = 1};
    *ret = (struct piece){.cost = 0, .repeat = 1};
    while (!at_end(p) && peek(p, 0) != '|' && peek(p, 0) != ')') {
        bool operator, thing;
        if (parse_operator(p, &last, &operator) < 0) {
            return -1;
        }
        if (!operator) {
            struct piece next;
            if (parse_atom(p, depth, &next, &thing) < 0) {
                return -1;
            }
            if (thing && next.operand) {
                ret->cost += last.cost;
                last = next;
            }
        }
        ret->repeat = last.repeat > ret->repeat ? last.repeat : ret->repeat;
        if (ret->cost + last.cost > LIMIT_REGEX_PROGRAM) {
            return bad(p, p->at ? p->at - 1 : 0,
                       "the expression is too complex for the sidecars; "
                       "lower its repetitions' bounds or split it");
        }
    }
    ret->cost += last.cost;
    return 0;
}

static int parse_alternatives(struct parser *p, int depth, struct piece *ret)
{
    *ret = (struct piece){.repeat = 1};
    for (;;) {
        struct piece one;
        if (parse_sequence(p, depth, &one) < 0) {
            return -1;
        }
        ret->cost += one.cost + 2;
        ret->repeat = one.repeat > ret->repeat ? one.repeat : ret->repeat;
        if (peek(p, 0) != '|') {
            return 0;
        }
        p->at++;
    }
}

int regex_check(struct str pattern, uint32_t *ret_cost, struct err *e)
{
    if (pattern.len > LIMIT_REGEX_BYTES) {
        return err_set(e, "it has %zu characters, %d are allowed", pattern.len, LIMIT_REGEX_BYTES);
    }
    if (memchr(pattern.ptr ? pattern.ptr : "", 0, pattern.len)) {
        return err_set(e, "it has a zero byte");
    }
    struct parser p = {.s = pattern, .e = e};
    struct piece whole;
    int r = parse_alternatives(&p, 0, &whole);
    if (r == 0 && !at_end(&p)) {
        r = bad(&p, p.at, "the ) has no ( before it");
    }
    if (r == 0 && whole.cost + 4 > LIMIT_REGEX_PROGRAM) {
        r = err_set(e, "the expression is too complex for the sidecars; split it");
    }
    if (r == 0 && ret_cost) {
        *ret_cost = (uint32_t)whole.cost + 4;
    }
    return r;
}

static int check_format(struct str s, struct err *why)
{
    return regex_check(s, NULL, why);
}

const struct field_format format_regex = {"a regular expression (RE2)", NULL, check_format,
                                          LIMIT_REGEX_BYTES};
