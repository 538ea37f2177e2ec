/* What the lines may hold, as _typed_lines.py tells it: nodes for values, structs for objects. */

enum {
    IS_NULL = 1, IS_BOOL = 2, IS_INT = 4, IS_TEXT = 8, IS_LIST = 16, IS_STRUCT = 32, IS_ANY = 64, IS_DICT = 128, IS_RAW = 256,
};
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
    int field_count, line;     /* ``line``: the number of that field, or -1 */
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
    PyObject *texts[CACHED_TEXTS];
} Lines;

static inline unsigned slot_of(const char *key, Py_ssize_t length)
{
    const unsigned char *bytes = (const unsigned char *)key;
    return (bytes[0] * 7u + bytes[length / 2] * 31u + bytes[length - 1] * 3u + (unsigned)length * 5u) % SLOTS;
}

static int node_from(Node *node, PyObject *plan)
{
    PyObject *structs;
    if (!PyArg_ParseTuple(plan, "iLLiO!", &node->kinds, &node->low, &node->high, &node->item, &PyTuple_Type, &structs))
        return 0;
    node->struct_count = (int)PyTuple_GET_SIZE(structs);
    node->structs = PyMem_Calloc((size_t)node->struct_count + 1, sizeof(int));
    if (node->structs == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (int i = 0; i < node->struct_count; i++)
        node->structs[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(structs, i));
    return !PyErr_Occurred();
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
    PyObject *tags; /* the names of the tag's field and of the tag, or nothing */
    if (!PyArg_ParseTuple(plan, "O!O!OO!", &PyType_Type, &s->type, &PyTuple_Type, &tags, &s->post_init,
                          &PyTuple_Type, &fields))
        return 0;
    if (PyTuple_GET_SIZE(tags) && !PyArg_ParseTuple(tags, "SS", &s->tag_field, &s->tag))
        return 0;
    s->post_init = s->post_init == Py_None ? NULL : s->post_init;
    s->line = -1;
    s->field_count = (int)PyTuple_GET_SIZE(fields);
    s->fields = PyMem_Calloc((size_t)s->field_count + 1, sizeof(Field));
    if (s->fields == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    if (s->field_count > SLOTS / 2) {
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

static int is_number(int number, int count)
{
    if (number >= 0 && number < count)
        return 1;
    PyErr_SetString(PyExc_ValueError, "the plan names what it does not have");
    return 0;
}

static int check_numbers(const Lines *self)
{
    int good = is_number(self->root, self->node_count);
    for (int i = 0; good && i < self->node_count; i++) {
        const Node *node = &self->nodes[i];
        good = is_number(node->item, self->node_count) && (!(node->kinds & IS_STRUCT) || is_number(0, node->struct_count));
        for (int j = 0; good && j < node->struct_count; j++)
            good = is_number(node->structs[j], self->struct_count);
    }
    for (int i = 0; good && i < self->struct_count; i++)
        for (int j = 0; good && j < self->structs[i].field_count; j++)
            good = is_number(self->structs[i].fields[j].node, self->node_count);
    return good;
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
    return check_numbers(self);
}
