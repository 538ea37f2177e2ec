/* Strings. */

/* A string's characters as UTF-8: where they stand in the source, or without its escapes in the reader's scratch. */
typedef struct {
    const char *start, *end;
    int ascii;
} Text;

static int hex_digits(const char *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20, digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The character that ``\uXXXX``, or a pair of them, stands for, and how many bytes it takes: 0 when it is none. */
static int long_escape(const char *p, Py_UCS4 *character)
{
    int high = p[1] == 'u' ? hex_digits(p + 2) : -1;
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF))
        return 0;
    *character = (Py_UCS4)high;
    if (high < 0xD800 || high > 0xDBFF)
        return 6;
    int low = p[6] == '\\' && p[7] == 'u' ? hex_digits(p + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *character = 0x10000 + (((Py_UCS4)high - 0xD800) << 10) + ((Py_UCS4)low - 0xDC00);
    return 12;
}

static const unsigned char SHORT_ESCAPES[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

static inline int escape(const char *p, Py_UCS4 *character)
{
    *character = SHORT_ESCAPES[(unsigned char)p[1]];
    return *character ? 2 : long_escape(p, character);
}

static char *put_utf8(char *out, Py_UCS4 character)
{
    if (character < 0x80) {
        *out++ = (char)character;
    } else if (character < 0x800) {
        *out++ = (char)(0xC0 | character >> 6);
        *out++ = (char)(0x80 | (character & 0x3F));
    } else if (character < 0x10000) {
        *out++ = (char)(0xE0 | character >> 12);
        *out++ = (char)(0x80 | (character >> 6 & 0x3F));
        *out++ = (char)(0x80 | (character & 0x3F));
    } else {
        *out++ = (char)(0xF0 | character >> 18);
        *out++ = (char)(0x80 | (character >> 12 & 0x3F));
        *out++ = (char)(0x80 | (character >> 6 & 0x3F));
        *out++ = (char)(0x80 | (character & 0x3F));
    }
    return out;
}

/* Up to 64 bytes; as many are written, whatever ``length`` is, where there are so many. */
static inline char *put(char *out, const char *from, Py_ssize_t length, int many)
{
    memcpy(out, from, many ? 64 : (size_t)length);
    return out + length;
}

/* From the opening quote to behind the closing one. Each escape takes more bytes than its character. */
static int unescape(Reader *r, Text *text)
{
    const char *p = r->at + 1, *from = p;
    char *out = r->scratch;
    uint64_t high = 0;
    for (;;) {
        Marks marks = marks_at(p, r->end);
        uint64_t specials = marks.ends | marks.backslashes;
        int many = r->end - p >= 128;
        while (specials) {
            int i = first_of(specials);
            out = put(out, from, p + i - from, many);
            from = p + i;
            if (marks.ends >> i & 1) {
                high |= marks.high & ~(~0ULL << i);
                r->at = from + 1;
                *out = '"';
                *text = (Text){r->scratch, out, !high};
                return *from == '"';
            }
            Py_UCS4 character;
            int bytes = escape(from, &character);
            if (!bytes)
                return 0;
            high |= character >= 0x80;
            out = put_utf8(out, character);
            from += bytes;
            specials = i + bytes < 64 ? specials & (~0ULL << (i + bytes)) : 0;
        }
        high |= marks.high;
        p += 64;
        if (from < p)
            out = put(out, from, p - from, many), from = p;
        p = from;
    }
}

/* The same; most strings are short and have no escapes. */
static inline int pass_text(Reader *r, Text *text)
{
    Marks marks = marks_at(r->at + 1, r->end);
    uint64_t specials = marks.ends | marks.backslashes;
    int i = specials ? first_of(specials) : 64;
    if (i == 64 || marks.backslashes >> i & 1)
        return unescape(r, text);
    *text = (Text){r->at + 1, r->at + 1 + i, !(marks.high & ~(~0ULL << i))};
    r->at = text->end + 1;
    return *text->end == '"';
}

/* Passes over a string. Its bytes may be invalid UTF-8, as in msgspec: nobody sees them. */
static int skip_text(Reader *r)
{
    const char *p = r->at + 1;
    for (;;) {
        Marks marks = marks_at(p, r->end);
        uint64_t specials = marks.ends | marks.backslashes;
        const char *next = p + 64;
        while (specials) {
            int i = first_of(specials);
            if (marks.ends >> i & 1) {
                r->at = p + i + 1;
                return p[i] == '"';
            }
            Py_UCS4 character;
            int bytes = escape(p + i, &character);
            if (!bytes)
                return 0;
            next = i + bytes < 64 ? next : p + i + bytes;
            specials = i + bytes < 64 ? specials & (~0ULL << (i + bytes)) : 0;
        }
        p = next;
    }
}

static inline int continues(const unsigned char *p)
{
    return (*p & 0xC0) == 0x80;
}

/* The character that two to four bytes of UTF-8 stand for, and how many they are: 0 when they are not valid. Behind a
   text stands a byte that continues no character. */
static inline int wide_character(const char *at, Py_UCS4 *character)
{
    const unsigned char *p = (const unsigned char *)at;
    if (p[0] >= 0xC2 && p[0] < 0xE0 && continues(p + 1)) {
        *character = (Py_UCS4)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return 2;
    }
    if ((p[0] & 0xF0) == 0xE0 && continues(p + 1) && continues(p + 2)) {
        *character = (Py_UCS4)(p[0] & 0x0F) << 12 | (Py_UCS4)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        return *character >= 0x800 && (*character < 0xD800 || *character > 0xDFFF) ? 3 : 0;
    }
    if (p[0] >= 0xF0 && p[0] < 0xF5 && continues(p + 1) && continues(p + 2) && continues(p + 3)) {
        *character = (Py_UCS4)(p[0] & 0x07) << 18 | (Py_UCS4)(p[1] & 0x3F) << 12;
        *character |= (Py_UCS4)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
        return *character >= 0x10000 && *character <= 0x10FFFF ? 4 : 0;
    }
    return 0;
}

/* How many characters a text has, and which bits their numbers have; 0 when it is not valid UTF-8. */
static int measure(const Text *text, Py_ssize_t *length, Py_UCS4 *widest)
{
    const char *p = text->start;
    *length = text->end - text->start;
    while (p < text->end) {
        int many = text->end - p >= 16;
        unsigned others = many ? high(bytes_at(p)) : 0;
        if (many && !others) {
            p += 16;
            continue;
        }
        p += others ? first_of(others) : 0;
        if (!(*p & 0x80)) {
            p++;
            continue;
        }
        Py_UCS4 character = 0;
        int bytes = wide_character(p, &character);
        if (!bytes)
            return 0;
        *widest |= character;
        *length -= bytes - 1;
        p += bytes;
    }
    return 1;
}

/* The characters of a measured text, each a UNIT wide. Sixteen are written where there are so many, whatever they are:
   those from the first wide one on are written over. */
#define DEFINE_WRITE(NAME, WIDEN, UNIT)                         \
    static void NAME(const Text *text, UNIT *out, UNIT *out_end) \
    {                                                           \
        const char *p = text->start, *end = text->end;          \
        while (p < end) {                                       \
            if (end - p >= 16 && out_end - out >= 16) {         \
                unsigned wide = high(bytes_at(p));              \
                int plain = wide ? first_of(wide) : 16;         \
                WIDEN(out, p);                                  \
                p += plain;                                     \
                out += plain;                                   \
                if (plain == 16)                                \
                    continue;                                   \
            }                                                   \
            Py_UCS4 character = (unsigned char)*p;              \
            p += *p & 0x80 ? wide_character(p, &character) : 1; \
            *out++ = (UNIT)character;                           \
        }                                                       \
    }
DEFINE_WRITE(write_1, widen_1, Py_UCS1)
DEFINE_WRITE(write_2, widen_2, Py_UCS2)
DEFINE_WRITE(write_4, widen_4, Py_UCS4)

static PyObject *new_ascii(const Text *text)
{
    Py_ssize_t length = text->end - text->start;
    if (length <= 1) /* Python has one object for each such text */
        return length ? PyUnicode_FromOrdinal(*text->start) : PyUnicode_New(0, 0);
    PyObject *object = PyUnicode_New(length, 0x7F);
    if (object != NULL)
        memcpy(PyUnicode_1BYTE_DATA(object), text->start, (size_t)length);
    return object;
}

static PyObject *new_wide(const Text *text)
{
    Py_ssize_t length;
    Py_UCS4 widest = 0;
    if (!measure(text, &length, &widest))
        return NULL;
    if (length == 1)
        return PyUnicode_FromOrdinal((int)widest);
    PyObject *object = PyUnicode_New(length, widest < 0x100 ? 0xFF : widest < 0x10000 ? 0xFFFF : 0x10FFFF);
    if (object == NULL)
        return NULL;
    if (widest < 0x100)
        write_1(text, PyUnicode_1BYTE_DATA(object), PyUnicode_1BYTE_DATA(object) + length);
    else if (widest < 0x10000)
        write_2(text, PyUnicode_2BYTE_DATA(object), PyUnicode_2BYTE_DATA(object) + length);
    else
        write_4(text, PyUnicode_4BYTE_DATA(object), PyUnicode_4BYTE_DATA(object) + length);
    return object;
}

static uint32_t hash_of(const char *p, Py_ssize_t length)
{
    uint64_t hash = (uint64_t)length;
    for (; length >= 8; p += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
        hash ^= hash >> 32;
    }
    for (; length > 0; p++, length--)
        hash = (hash ^ (unsigned char)*p) * 0x9E3779B97F4A7C15ULL;
    return (uint32_t)(hash >> 32);
}

/* A short ASCII text as the object that the same text was before, where that is still known. */
static PyObject *shared_text(Lines *lines, const Text *text)
{
    Py_ssize_t length = text->end - text->start;
    PyObject **place = &lines->texts[hash_of(text->start, length) % CACHED_TEXTS];
    if (*place != NULL && PyUnicode_GET_LENGTH(*place) == length
        && memcmp(PyUnicode_1BYTE_DATA(*place), text->start, (size_t)length) == 0)
        return Py_NewRef(*place);
    PyObject *object = new_ascii(text);
    if (object != NULL)
        Py_XSETREF(*place, Py_NewRef(object));
    return object;
}

static PyObject *read_text(Reader *r)
{
    Text text;
    if (!pass_text(r, &text))
        return NULL;
    if (!text.ascii)
        return new_wide(&text);
    Py_ssize_t length = text.end - text.start;
    return length > 1 && length <= SHORT_TEXT ? shared_text(r->lines, &text) : new_ascii(&text);
}
