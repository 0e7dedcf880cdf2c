/* Who is connected. */
#include "xds/clients.h"

#include "base/mem.h"

void clients_add(struct clients *s, struct client *c)
{
    c->next = map_put(&s->by_uuid, str_of(c->uuid), c);
    s->len++;
}

void client_free(struct client *c)
{
    free(c->uuid);
    free(c->identity);
    free(c->audience);
    free(c);
}

static void unlink_uuid(struct clients *s, const struct client *c)
{
    struct client *first = clients_find(s, str_of(c->uuid));
    if (first == c && !c->next) {
        map_remove(&s->by_uuid, str_of(c->uuid));
    } else if (first == c) {
        map_put(&s->by_uuid, str_of(c->uuid), c->next);
    } else {
        while (first->next != c) {
            first = first->next;
        }
        first->next = c->next;
    }
}

void clients_remove(struct clients *s, struct client *c)
{
    clients_wait(s, c, false);
    unlink_uuid(s, c);
    client_free(c);
    s->len--;
}

static void free_all(void *first)
{
    for (struct client *c = first, *next; c; c = next) {
        next = c->next;
        client_free(c);
    }
}

void clients_done(struct clients *s)
{
    map_done(&s->by_uuid, free_all);
    *s = (struct clients){0};
}

struct client *clients_find(const struct clients *s, struct str uuid)
{
    return map_find(&s->by_uuid, uuid);
}

void clients_wait(struct clients *s, struct client *c, bool waiting)
{
    if (c->waiting == waiting) {
        return;
    }
    c->waiting = waiting;
    if (waiting) {
        c->prev_waiting = NULL;
        c->next_waiting = s->waiting;
        if (s->waiting) {
            s->waiting->prev_waiting = c;
        }
        s->waiting = c;
        return;
    }
    *(c->prev_waiting ? &c->prev_waiting->next_waiting : &s->waiting) = c->next_waiting;
    if (c->next_waiting) {
        c->next_waiting->prev_waiting = c->prev_waiting;
    }
}
