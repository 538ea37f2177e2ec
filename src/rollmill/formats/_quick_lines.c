/* Typed, partial decoding of JSON lines: what msgspec's Decoder(T).decode does, half as fast again.

       Lines(plan…).decode(b'{"type":"user",…}\n{"type":"assistant",…}\n', size, 1)  →  [Record(line=1, …), Record(…)]

   It knows nothing of any agent. It reads plain JSON alone and refuses whatever is unusual (a value of a type that the
   plan does not have, invalid UTF-8, half a surrogate pair, a number too large, deep nesting): a refused line is decoded
   by msgspec, which either reads it or says what is wrong. So the two cannot disagree about more than what is plain, and
   tests/test_quick_lines.py holds them against each other. Without a C compiler this file is left out (_typed_lines.py).

   Where the speed comes from: strings are looked at 64 bytes at a time, escapes are taken out into memory that stays in
   the processor's cache, and short texts, of which logs repeat most (types, names, folders, ids), are one object. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <descrobject.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#if !PY_LITTLE_ENDIAN
#error "eight bytes are looked at as a little-endian number"
#endif

enum { IS_NULL = 1, IS_BOOL = 2, IS_INT = 4, IS_TEXT = 8, IS_LIST = 16, IS_STRUCT = 32, IS_ANY = 64, IS_DICT = 128, IS_RAW = 256 };
enum { SLOTS = 128, SHORT_TEXT = 64, CACHED_TEXTS = 2048, MAX_DEPTH = 200, SAFE_DIGITS = 18 };

/* What a value may be. ``structs`` are told apart by their tags when there are several. */
typedef struct {
    int kinds;
    long long low, high;
    int item;
    int struct_count;
    int *structs;
} Node;

typedef struct {
    const char *key;
    Py_ssize_t length;
    Py_ssize_t offset;
    int node;
    PyObject *initial; /* NULL: required */
} Field;

typedef struct {
    PyTypeObject *type;
    PyObject *tag_field, *tag; /* bytes, or NULL */
    PyObject *post_init;       /* or NULL */
    int field_count, line; /* the number of the field ``line``, or -1 */
    Field *fields;
    unsigned char slots[SLOTS]; /* hash of a key → number of its field + 1 */
} Struct;

typedef struct {
    PyObject_HEAD
    int node_count, struct_count, root;
    Node *nodes;
    Struct *structs;
    PyObject *plan;     /* owns all Python objects that nodes and structs point to */
    PyObject *fallback; /* bytes → record, by msgspec */
    PyObject *raw;      /* msgspec.Raw */
    char *scratch;      /* room for the longest text of the lines at hand */
    Py_ssize_t room;
    PyObject *texts[CACHED_TEXTS];
} Lines;

/* ``at`` is the next byte. The last byte before ``end`` is a line break, which no string, number or space goes past: so
   nothing here looks further. */
typedef struct {
    const char *at, *end;
    int depth;
    Lines *lines;
} Reader;

/* Functions that give an object give NULL for a refused value, without an exception, or with one (no memory). Functions
   that give int give 0 then. */

static PyObject *read_value(Reader *r, const Node *node);
static int skip_value(Reader *r);

/* ---- Bytes, sixteen at a time: a bit for each, that of the first byte lowest ---- */

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>

typedef __m128i Bytes;

static inline Bytes bytes_at(const char *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline unsigned equal_to(Bytes bytes, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

static inline unsigned controls(Bytes bytes)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(' ' - 1)), bytes));
}

static inline unsigned high(Bytes bytes)
{
    return (unsigned)_mm_movemask_epi8(bytes);
}

static inline void widen_2(Py_UCS2 *out, const char *p)
{
    _mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi8(bytes_at(p), _mm_setzero_si128()));
    _mm_storeu_si128((__m128i *)out + 1, _mm_unpackhi_epi8(bytes_at(p), _mm_setzero_si128()));
}

#else /* the same with plain numbers, eight bytes in each */

typedef struct {
    uint64_t halves[2];
} Bytes;

#define EACH(byte) (0x0101010101010101ULL * (byte))

static inline Bytes bytes_at(const char *p)
{
    Bytes bytes;
    memcpy(&bytes, p, sizeof bytes);
    return bytes;
}

/* The highest bits of eight bytes, side by side. */
static inline unsigned highest_bits(uint64_t half)
{
    return (unsigned)(((half & EACH(0x80)) >> 7) * 0x0102040810204080ULL >> 56);
}

static inline unsigned high(Bytes bytes)
{
    return highest_bits(bytes.halves[0]) | highest_bits(bytes.halves[1]) << 8;
}

static inline uint64_t below(uint64_t half, unsigned char limit)
{
    return ~((half & EACH(0x7F)) + EACH(0x80 - limit)) & ~half;
}

static inline unsigned equal_to(Bytes bytes, char c)
{
    uint64_t first = bytes.halves[0] ^ EACH((unsigned char)c), second = bytes.halves[1] ^ EACH((unsigned char)c);
    return highest_bits(below(first, 1)) | highest_bits(below(second, 1)) << 8;
}

static inline unsigned controls(Bytes bytes)
{
    return highest_bits(below(bytes.halves[0], ' ')) | highest_bits(below(bytes.halves[1], ' ')) << 8;
}

static inline void widen_2(Py_UCS2 *out, const char *p)
{
    for (int i = 0; i < 16; i++)
        out[i] = (unsigned char)p[i];
}
#endif

static inline void widen_1(Py_UCS1 *out, const char *p)
{
    memcpy(out, p, 16);
}

static inline void widen_4(Py_UCS4 *out, const char *p)
{
    for (int i = 0; i < 16; i++)
        out[i] = (unsigned char)p[i];
}

static inline int first_of(uint64_t bits)
{
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int first = 0;
    for (; !(bits & 1); bits >>= 1)
        first++;
    return first;
#endif
}

/* What a string is told by in the next 64 bytes. */
typedef struct {
    uint64_t ends; /* quotes and control characters */
    uint64_t backslashes, high;
} Marks;

static inline Marks marks_at(const char *p, const char *end)
{
    Marks marks = {0, 0, 0};
    char tail[64];
    if (end - p < 64) { /* behind the end of the data may be no memory */
        memset(tail, '\n', sizeof tail);
        p = memcpy(tail, p, (size_t)(end - p));
    }
    for (int i = 0; i < 64; i += 16) {
        Bytes bytes = bytes_at(p + i);
        marks.ends |= (uint64_t)(equal_to(bytes, '"') | controls(bytes)) << i;
        marks.backslashes |= (uint64_t)equal_to(bytes, '\\') << i;
        marks.high |= (uint64_t)high(bytes) << i;
    }
    return marks;
}

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

/* ---- Strings ---- */

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
    char *out = r->lines->scratch;
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
                *text = (Text){r->lines->scratch, out, !high};
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
        *character = (Py_UCS4)(p[0] & 0x07) << 18 | (Py_UCS4)(p[1] & 0x3F) << 12 | (Py_UCS4)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
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

/* ---- Other values ---- */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int skip_digits(Reader *r)
{
    const char *start = r->at;
    while (is_digit(*r->at))
        r->at++;
    return r->at > start;
}

static int skip_number(Reader *r)
{
    if (*r->at == '-')
        r->at++;
    if (*r->at == '0')
        r->at++;
    else if (!skip_digits(r))
        return 0;
    if (*r->at == '.') {
        r->at++;
        if (!skip_digits(r))
            return 0;
    }
    if (*r->at == 'e' || *r->at == 'E') {
        r->at++;
        if (*r->at == '+' || *r->at == '-')
            r->at++;
        return skip_digits(r);
    }
    return 1;
}

static PyObject *read_int(Reader *r, const Node *node)
{
    const char *start = r->at;
    int negative = *start == '-';
    if (!skip_number(r) || r->at - start > SAFE_DIGITS)
        return NULL;
    long long value = 0;
    for (const char *p = start + negative; p < r->at; p++) {
        if (!is_digit(*p))
            return NULL;
        value = value * 10 + (*p - '0');
    }
    if (negative)
        value = -value;
    if ((negative && value == 0) || (!(node->kinds & IS_ANY) && (value < node->low || value > node->high)))
        return NULL;
    return PyLong_FromLongLong(value);
}

static PyObject *read_constant(Reader *r, const char *word, PyObject *constant)
{
    return pass_word(r, word) ? Py_NewRef(constant) : NULL;
}

static PyObject *read_raw(Reader *r)
{
    const char *start = r->at;
    if (!skip_value(r))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(start, r->at - start);
    PyObject *raw = bytes != NULL ? PyObject_CallOneArg(r->lines->raw, bytes) : NULL;
    Py_XDECREF(bytes);
    return raw;
}

static PyObject *read_list(Reader *r, const Node *item)
{
    PyObject *list = PyList_New(0);
    if (list == NULL || !pass(r, '['))
        goto refused;
    if (*r->at == ']') {
        r->at++;
        return list;
    }
    do {
        PyObject *value = read_value(r, item);
        int failed = value == NULL || PyList_Append(list, value) < 0;
        Py_XDECREF(value);
        if (failed)
            goto refused;
    } while (pass(r, ','));
    if (*r->at++ == ']')
        return list;
refused:
    Py_XDECREF(list);
    return NULL;
}

static int read_pair(Reader *r, PyObject *dict, const Node *any)
{
    PyObject *key = *r->at == '"' ? read_text(r) : NULL;
    PyObject *value = key != NULL && pass(r, ':') ? read_value(r, any) : NULL;
    int stored = value != NULL && PyDict_SetItem(dict, key, value) == 0;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return stored;
}

static PyObject *read_dict(Reader *r)
{
    static const Node any = {.kinds = IS_ANY};
    PyObject *dict = PyDict_New();
    if (dict == NULL || !pass(r, '{'))
        goto refused;
    if (*r->at == '}') {
        r->at++;
        return dict;
    }
    do {
        if (!read_pair(r, dict, &any))
            goto refused;
    } while (pass(r, ','));
    if (*r->at++ == '}')
        return dict;
refused:
    Py_XDECREF(dict);
    return NULL;
}

static int skip_items(Reader *r, int keys, char close)
{
    r->at++;
    skip_space(r);
    if (*r->at == close) {
        r->at++;
        return 1;
    }
    do {
        if (keys && (*r->at != '"' || !skip_text(r) || !pass(r, ':')))
            return 0;
        if (!skip_value(r))
            return 0;
    } while (pass(r, ','));
    return *r->at++ == close;
}

static int skip_value(Reader *r)
{
    int skipped = 0;
    if (r->depth >= MAX_DEPTH)
        return 0;
    r->depth++;
    switch (*r->at) {
    case '"': skipped = skip_text(r); break;
    case '{': skipped = skip_items(r, 1, '}'); break;
    case '[': skipped = skip_items(r, 0, ']'); break;
    case 't': skipped = pass_word(r, "true"); break;
    case 'f': skipped = pass_word(r, "false"); break;
    case 'n': skipped = pass_word(r, "null"); break;
    default: skipped = skip_number(r);
    }
    r->depth--;
    return skipped;
}

/* ---- Structs ---- */

static inline unsigned slot_of(const char *key, Py_ssize_t length)
{
    unsigned first = (unsigned char)key[0], middle = (unsigned char)key[length / 2], last = (unsigned char)key[length - 1];
    return (first * 7 + middle * 31 + last * 3 + (unsigned)length * 5) % SLOTS;
}

static inline int is_key(const Field *field, const char *key, Py_ssize_t length)
{
    return field->length == length && memcmp(field->key, key, (size_t)length) == 0;
}

/* The number of a key's field, or -1. A log's keys have an order, so the one behind the last found is tried first. */
static inline int field_at(const Struct *s, const char *key, Py_ssize_t length, int expected)
{
    if (expected < s->field_count && is_key(&s->fields[expected], key, length))
        return expected;
    if (length == 0)
        return -1;
    for (unsigned slot = slot_of(key, length); s->slots[slot]; slot = (slot + 1) % SLOTS)
        if (is_key(&s->fields[s->slots[slot] - 1], key, length))
            return s->slots[slot] - 1;
    return -1;
}

/* A key without escapes, and past the colon. */
static inline int read_key(Reader *r, const char **key, Py_ssize_t *length)
{
    const char *p = r->at + 1;
    *key = p;
    if (*r->at != '"')
        return 0;
    while (*p != '"' && *p != '\\' && (signed char)*p >= ' ')
        p++;
    *length = p - *key;
    r->at = p + 1;
    return *p == '"' && pass(r, ':');
}

static int is_bytes(PyObject *bytes, const char *p, Py_ssize_t length)
{
    return PyBytes_GET_SIZE(bytes) == length && memcmp(PyBytes_AS_STRING(bytes), p, (size_t)length) == 0;
}

static PyObject **place_of(PyObject *object, const Field *field)
{
    return (PyObject **)((char *)object + field->offset);
}

/* Past the value of a tag, which must be the struct's own. */
static int check_tag(Reader *r, const Struct *s)
{
    const char *start = r->at + 1;
    return *r->at == '"' && skip_text(r) && is_bytes(s->tag, start, r->at - 1 - start);
}

static int read_fields(Reader *r, const Struct *s, PyObject *object)
{
    int tagged = s->tag_field == NULL, expected = 0;
    if (!pass(r, '{'))
        return 0;
    if (*r->at == '}') {
        r->at++;
        return tagged;
    }
    do {
        const char *key;
        Py_ssize_t length;
        if (!read_key(r, &key, &length))
            return 0;
        int number = field_at(s, key, length, expected);
        if (number >= 0) {
            PyObject *value = read_value(r, &r->lines->nodes[s->fields[number].node]);
            if (value == NULL)
                return 0;
            Py_XSETREF(*place_of(object, &s->fields[number]), value);
            expected = number + 1;
        } else if (s->tag_field != NULL && is_bytes(s->tag_field, key, length)) {
            if (!check_tag(r, s))
                return 0;
            tagged = 1;
        } else if (!skip_value(r)) {
            return 0;
        }
    } while (pass(r, ','));
    return *r->at++ == '}' && tagged;
}

static int fill_in(const Struct *s, PyObject *object)
{
    for (int i = 0; i < s->field_count; i++) {
        PyObject **place = place_of(object, &s->fields[i]);
        if (*place == NULL && s->fields[i].initial == NULL)
            return 0;
        if (*place == NULL)
            *place = Py_NewRef(s->fields[i].initial);
    }
    return 1;
}

static int call_post_init(const Struct *s, PyObject *object)
{
    PyObject *result = PyObject_CallOneArg(s->post_init, object);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear(); /* msgspec will call it again, and say what it says */
    Py_XDECREF(result);
    return result != NULL;
}

static PyObject *read_struct(Reader *r, const Struct *s)
{
    PyObject *object = s->type->tp_alloc(s->type, 0);
    if (object == NULL)
        return NULL;
    if (read_fields(r, s, object) && fill_in(s, object) && (s->post_init == NULL || call_post_init(s, object)))
        return object;
    Py_DECREF(object);
    return NULL;
}

/* Which of several structs the object here is, by its tag; the reader stays where it is. NULL: by none of them. */
static const Struct *tagged_struct(Reader *r, const Node *node)
{
    const Struct *structs = r->lines->structs, *found = NULL;
    const char *start = r->at, *key;
    Py_ssize_t length;
    if (!pass(r, '{'))
        return NULL;
    do {
        if (!read_key(r, &key, &length))
            break;
        if (is_bytes(structs[node->structs[0]].tag_field, key, length)) {
            for (int i = 0; i < node->struct_count && found == NULL; i++) {
                Reader tag = *r;
                if (check_tag(&tag, &structs[node->structs[i]]))
                    found = &structs[node->structs[i]];
            }
            break;
        }
    } while (skip_value(r) && pass(r, ','));
    r->at = start;
    return found;
}

static PyObject *read_object(Reader *r, const Node *node)
{
    if (node->kinds & (IS_ANY | IS_DICT))
        return read_dict(r);
    const Struct *s = &r->lines->structs[node->structs[0]];
    if (s->tag_field != NULL)
        s = tagged_struct(r, node);
    return s != NULL ? read_struct(r, s) : NULL;
}

static PyObject *read_kind(Reader *r, const Node *node)
{
    int kinds = node->kinds & IS_ANY ? ~IS_RAW : node->kinds;
    switch (*r->at) {
    case '"': return kinds & IS_TEXT ? read_text(r) : NULL;
    case '{': return kinds & (IS_STRUCT | IS_DICT) ? read_object(r, node) : NULL;
    case '[': return kinds & IS_LIST ? read_list(r, node->kinds & IS_ANY ? node : &r->lines->nodes[node->item]) : NULL;
    case 't': return kinds & IS_BOOL ? read_constant(r, "true", Py_True) : NULL;
    case 'f': return kinds & IS_BOOL ? read_constant(r, "false", Py_False) : NULL;
    case 'n': return kinds & IS_NULL ? read_constant(r, "null", Py_None) : NULL;
    default: return kinds & IS_INT ? read_int(r, node) : NULL;
    }
}

static PyObject *read_value(Reader *r, const Node *node)
{
    if (node->kinds & IS_RAW)
        return read_raw(r);
    if (r->depth >= MAX_DEPTH)
        return NULL;
    r->depth++;
    PyObject *value = read_kind(r, node);
    r->depth--;
    return value;
}

/* ---- Lines ---- */

/* The record of the line here, and past the line. */
static PyObject *read_line(Reader *r)
{
    const char *start = r->at;
    PyObject *record = read_value(r, &r->lines->nodes[r->lines->root]);
    if (record != NULL) {
        skip_space(r);
        if (*r->at++ == '\n')
            return record;
    }
    Py_CLEAR(record);
    if (PyErr_Occurred())
        return NULL;
    const char *end = memchr(start, '\n', (size_t)(r->end - start));
    PyObject *line = PyBytes_FromStringAndSize(start, end - start);
    record = line != NULL ? PyObject_CallOneArg(r->lines->fallback, line) : NULL;
    Py_XDECREF(line);
    r->at = end + 1;
    r->depth = 0;
    return record;
}

/* The struct that a line's object became. */
static const Struct *struct_of(Lines *lines, PyObject *record)
{
    const Node *root = &lines->nodes[lines->root];
    for (int i = 0; i < root->struct_count; i++)
        if (lines->structs[root->structs[i]].type == Py_TYPE(record))
            return &lines->structs[root->structs[i]];
    return NULL;
}

static int set_line(Lines *lines, PyObject *record, Py_ssize_t number)
{
    const Struct *s = struct_of(lines, record);
    PyObject *line = PyLong_FromSsize_t(number);
    int set = line != NULL;
    if (set && s != NULL && s->line >= 0)
        Py_XSETREF(*place_of(record, &s->fields[s->line]), Py_NewRef(line));
    else if (set)
        set = PyObject_SetAttrString(record, "line", line) == 0;
    Py_XDECREF(line);
    return set;
}

static int make_room(Lines *self, Py_ssize_t size)
{
    if (self->room >= size)
        return 1;
    char *scratch = PyMem_Realloc(self->scratch, (size_t)size + 64 + 1);
    if (scratch == NULL)
        return 0;
    self->scratch = scratch;
    self->room = size;
    return 1;
}

PyDoc_STRVAR(decode_doc,
"decode(data: bytes, size: int, first: int) -> list\n\n"
"The record of each line of the first ``size`` bytes, which must end with a line break; each gets its number, ``first`` \n"
"and so on, as its ``line``. Raises what the fallback raises for a line that neither can read.");

static PyObject *Lines_decode(Lines *self, PyObject *args)
{
    PyObject *data;
    Py_ssize_t size, first;
    if (!PyArg_ParseTuple(args, "O!nn", &PyBytes_Type, &data, &size, &first))
        return NULL;
    const char *start = PyBytes_AS_STRING(data);
    if (size < 1 || size > PyBytes_GET_SIZE(data) || start[size - 1] != '\n') {
        PyErr_SetString(PyExc_ValueError, "these are no whole lines");
        return NULL;
    }
    if (!make_room(self, size))
        return PyErr_NoMemory();
    PyObject *records = PyList_New(0);
    Reader reader = {.at = start, .end = start + size, .lines = self};
    for (; records != NULL && reader.at < reader.end; first++) {
        PyObject *record = read_line(&reader);
        if (record == NULL || !set_line(self, record, first) || PyList_Append(records, record) < 0)
            Py_CLEAR(records);
        Py_XDECREF(record);
    }
    return records;
}

/* ---- The plan ---- */

static int node_from(Node *node, PyObject *plan)
{
    PyObject *structs;
    if (!PyArg_ParseTuple(plan, "iLLiO!", &node->kinds, &node->low, &node->high, &node->item, &PyTuple_Type, &structs))
        return 0;
    node->struct_count = (int)PyTuple_GET_SIZE(structs);
    node->structs = PyMem_Calloc((size_t)node->struct_count + 1, sizeof(int));
    for (int i = 0; node->structs != NULL && i < node->struct_count; i++)
        node->structs[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(structs, i));
    return node->structs != NULL && !PyErr_Occurred();
}

/* Where a struct's object keeps a field: slots are described by the type. */
static Py_ssize_t offset_of(PyTypeObject *type, PyObject *name)
{
    PyObject *member = PyObject_GetAttr((PyObject *)type, name);
    Py_ssize_t offset = -1;
    if (member != NULL && Py_TYPE(member) == &PyMemberDescr_Type)
        offset = ((PyMemberDescrObject *)member)->d_member->offset;
    else if (member != NULL)
        PyErr_Format(PyExc_TypeError, "%R of %R is not kept in a slot", name, type);
    Py_XDECREF(member);
    return offset;
}

static int field_from(Field *field, PyTypeObject *type, PyObject *plan, int *is_line)
{
    PyObject *name, *initial;
    if (!PyArg_ParseTuple(plan, "y#UiO!", &field->key, &field->length, &name, &field->node, &PyTuple_Type, &initial))
        return 0;
    *is_line = PyUnicode_CompareWithASCIIString(name, "line") == 0;
    field->initial = PyTuple_GET_SIZE(initial) ? PyTuple_GET_ITEM(initial, 0) : NULL;
    if (field->length == 0) {
        PyErr_SetString(PyExc_ValueError, "a field without a name");
        return 0;
    }
    return (field->offset = offset_of(type, name)) > 0;
}

static int struct_from(Struct *s, PyObject *plan)
{
    PyObject *fields;
    if (!PyArg_ParseTuple(plan, "O!OOOO!", &PyType_Type, &s->type, &s->tag_field, &s->tag, &s->post_init, &PyTuple_Type, &fields))
        return 0;
    s->tag_field = s->tag_field == Py_None ? NULL : s->tag_field;
    s->post_init = s->post_init == Py_None ? NULL : s->post_init;
    s->line = -1;
    s->field_count = (int)PyTuple_GET_SIZE(fields);
    s->fields = PyMem_Calloc((size_t)s->field_count + 1, sizeof(Field));
    if (s->fields == NULL || s->field_count > SLOTS / 2) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return 0;
    }
    for (int i = 0; i < s->field_count; i++) {
        int is_line;
        if (!field_from(&s->fields[i], s->type, PyTuple_GET_ITEM(fields, i), &is_line))
            return 0;
        s->line = is_line ? i : s->line;
        unsigned slot = slot_of(s->fields[i].key, s->fields[i].length);
        while (s->slots[slot])
            slot = (slot + 1) % SLOTS;
        s->slots[slot] = (unsigned char)(i + 1);
    }
    return 1;
}

static int plan_from(Lines *self, PyObject *nodes, PyObject *structs)
{
    self->node_count = (int)PyTuple_GET_SIZE(nodes);
    self->struct_count = (int)PyTuple_GET_SIZE(structs);
    self->nodes = PyMem_Calloc((size_t)self->node_count + 1, sizeof(Node));
    self->structs = PyMem_Calloc((size_t)self->struct_count + 1, sizeof(Struct));
    if (self->nodes == NULL || self->structs == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (int i = 0; i < self->node_count; i++)
        if (!node_from(&self->nodes[i], PyTuple_GET_ITEM(nodes, i)))
            return 0;
    for (int i = 0; i < self->struct_count; i++)
        if (!struct_from(&self->structs[i], PyTuple_GET_ITEM(structs, i)))
            return 0;
    return 1;
}

static PyObject *Lines_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *nodes, *structs, *raw, *fallback;
    int root;
    if (!PyArg_ParseTuple(args, "iO!O!OO", &root, &PyTuple_Type, &nodes, &PyTuple_Type, &structs, &raw, &fallback))
        return NULL;
    Lines *self = (Lines *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->root = root;
    self->plan = Py_NewRef(args);
    self->raw = raw;
    self->fallback = fallback;
    if (!plan_from(self, nodes, structs))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void Lines_dealloc(Lines *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; self->nodes != NULL && i < self->node_count; i++)
        PyMem_Free(self->nodes[i].structs);
    for (int i = 0; self->structs != NULL && i < self->struct_count; i++)
        PyMem_Free(self->structs[i].fields);
    for (int i = 0; i < CACHED_TEXTS; i++)
        Py_XDECREF(self->texts[i]);
    PyMem_Free(self->scratch);
    PyMem_Free(self->nodes);
    PyMem_Free(self->structs);
    Py_XDECREF(self->plan);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"decode", (PyCFunction)Lines_decode, METH_VARARGS, decode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, Lines_new},
    {Py_tp_dealloc, Lines_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"rollmill.formats._quick_lines.Lines", sizeof(Lines), 0, Py_TPFLAGS_DEFAULT, slots};

static int add_names(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, add_names},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_quick_lines", .m_doc = "Typed, partial decoding of JSON lines.", .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__quick_lines(void)
{
    return PyModuleDef_Init(&module);
}
