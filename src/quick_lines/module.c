/* Typed, partial decoding of JSON lines: what msgspec's Decoder(T).decode does, half as fast again.

       Lines(plan…).decode(b'{"type":"user",…}\n{"type":"assistant",…}\n', size, 1)  →  [Record(line=1, …), Record(…)]

   It knows nothing of any agent. It reads plain JSON alone and refuses whatever is unusual (a value of a type that the
   plan does not have, invalid UTF-8, half a surrogate pair, a number too large, deep nesting): a refused line is decoded
   by msgspec, which either reads it or says what is wrong. So the two cannot disagree about more than what is plain, and
   tests/test_quick_lines.py holds them against each other. Without a C compiler it is left out (_typed_lines.py).

   Where the speed comes from: strings are looked at 64 bytes at a time, escapes are taken out into memory that stays in
   the processor's cache, and short texts, of which logs repeat most (types, names, folders, ids), are one object. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <descrobject.h>
#include <structmember.h>

/* In this order: each knows those before it. */
#include "bytes.h"
#include "plan.h"
#include "reader.h"
#include "text.h"
#include "values.h"
#include "structs.h"

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

PyDoc_STRVAR(decode_doc,
"decode(data: bytes, size: int, first: int) -> list\n\n"
"The record of each line of the first ``size`` bytes, which must end with a line break; each gets its number, ``first``\n"
"and so on, as its ``line``. Raises what the fallback raises.");

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
    char *scratch = PyMem_Malloc((size_t)size + SCRATCH_BEHIND);
    if (scratch == NULL)
        return PyErr_NoMemory();
    Reader reader = {.at = start, .end = start + size, .scratch = scratch, .lines = self};
    PyObject *records = PyList_New(0);
    for (; records != NULL && reader.at < reader.end; first++) {
        PyObject *record = read_line(&reader);
        if (record == NULL || !set_line(self, record, first) || PyList_Append(records, record) < 0)
            Py_CLEAR(records);
        Py_XDECREF(record);
    }
    PyMem_Free(scratch);
    return records;
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
    PyModuleDef_HEAD_INIT,
    .m_name = "_quick_lines",
    .m_doc = "Typed, partial decoding of JSON lines.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__quick_lines(void)
{
    return PyModuleDef_Init(&module);
}
