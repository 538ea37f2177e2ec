/* Bytes, sixteen at a time: one bit for each, the lowest for the first byte. */

#include <stdint.h>
#include <string.h>

#if !PY_LITTLE_ENDIAN
#error "the lowest bit would not be that of the first byte"
#endif

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
