/* All other values, read or passed over. */

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
