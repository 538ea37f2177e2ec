/* Where reading is, and the smallest steps. */

/* ``at`` is the next byte. The last byte before ``end`` is a line break, which no string, number or space goes past: so
   nothing here looks further. */
typedef struct {
    const char *at, *end;
    int depth;
    char *scratch; /* room for any text of these lines, and SCRATCH_BEHIND more */
    Lines *lines;
} Reader;

enum { SCRATCH_BEHIND = 64 + 1 };

/* Functions that give an object give NULL for a refused value, without an exception, or with one (no memory). Functions
   that give int give 0 then. */

static PyObject *read_value(Reader *r, const Node *node);
static int skip_value(Reader *r);

static inline void skip_space(Reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')
        r->at++;
}

/* Past one character, space before it and behind it; 0 when it is another. */
static inline int pass(Reader *r, char c)
{
    skip_space(r);
    if (*r->at != c)
        return 0;
    r->at++;
    skip_space(r);
    return 1;
}

static int pass_word(Reader *r, const char *word)
{
    for (; *word; word++, r->at++)
        if (*r->at != *word)
            return 0;
    return 1;
}
