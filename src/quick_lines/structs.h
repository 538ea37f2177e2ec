/* Objects as structs, and which kind of value is read how. */

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
