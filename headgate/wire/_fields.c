/* Owns the fast reading of a field section: Splitter in C, with the contract of PureSplitter in fields.py.
 *
 * It accepts exactly what PureSplitter accepts and returns the same. It never says why a section is illegal: on any doubt it
 * calls the second reader in grammar.py. It remembers nothing between calls. The bytes that are read are owned by an immutable
 * object that the caller holds, and no Python code runs while they are scanned.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define LONGEST_SPECIAL 64   /* a longer name is never special */
#define SLOTS 256            /* of the hash table; a power of two, kept at most half full */
#define MOST_SPECIAL (SLOTS / 2)

enum { PLAIN = 0, DROPPED = -1 };

/* What each octet is, made once by init_octets. */
static unsigned char lower_tchar[256]; /* the octet in lower case if it may stand in a token, 0 otherwise */

typedef struct {
    unsigned char length; /* 0: the slot is free */
    char name[LONGEST_SPECIAL];
    int id;
    int stays;
} Slot;

typedef struct {
    PyObject_HEAD
    PyObject *count_limit;
    Slot slots[SLOTS];
} Splitter;

static void init_octets(void)
{
    const char *marks = "!#$%&'*+-.^_`|~";
    for (int octet = '0'; octet <= '9'; octet++)
        lower_tchar[octet] = (unsigned char)octet;
    for (int octet = 'a'; octet <= 'z'; octet++)
        lower_tchar[octet] = lower_tchar[octet - 'a' + 'A'] = (unsigned char)octet;
    for (; *marks; marks++)
        lower_tchar[(unsigned char)*marks] = (unsigned char)*marks;
}

/* Whether an octet may stand in a field value: all but the controls, HTAB excepted. */
static inline int is_value_octet(unsigned char octet)
{
    return (octet >= 0x20 && octet != 0x7F) || octet == '\t';
}

static inline unsigned int slot_of(const char *name, size_t length)
{
    unsigned int hash = (unsigned int)length * 31u;
    hash ^= (unsigned char)name[0] * 0x9E37u;
    hash ^= (unsigned char)name[length / 2] * 0x79B9u;
    hash ^= (unsigned char)name[length - 1] * 0x85EBu;
    return (hash ^ (hash >> 8)) & (SLOTS - 1);
}

/* Return the slot of a lower-case name of 1 to LONGEST_SPECIAL octets, or the free slot where it would go. */
static Slot *find_slot(Splitter *self, const char *name, size_t length)
{
    unsigned int at = slot_of(name, length);
    while (self->slots[at].length &&
           (self->slots[at].length != length || memcmp(self->slots[at].name, name, length) != 0))
        at = (at + 1) & (SLOTS - 1);
    return &self->slots[at];
}

/* Return what a name means: the id of a special field, PLAIN or DROPPED. `lower` is overwritten. */
static int classify(Splitter *self, char *lower, size_t length, int underscore, int *stays)
{
    Slot *slot;
    if (length > LONGEST_SPECIAL)
        return PLAIN;
    slot = find_slot(self, lower, length);
    if (slot->length) {
        *stays = slot->stays;
        return slot->id;
    }
    if (underscore) {
        for (size_t at = 0; at < length; at++)
            if (lower[at] == '_')
                lower[at] = '-';
        if (find_slot(self, lower, length)->length)
            return DROPPED;
    }
    return PLAIN;
}

/* Set the exception for a section that is illegal or has too many lines. Return NULL. */
static PyObject *refuse(Splitter *self, PyObject *head, Py_ssize_t start, Py_ssize_t most)
{
    const char *data = PyBytes_AS_STRING(head);
    Py_ssize_t size = PyBytes_GET_SIZE(head), count = 0;
    PyObject *module, *refused;

    for (Py_ssize_t at = start; at < size; at++)
        count += data[at] == '\n';
    if (size > start && data[size - 1] == '\n' && count > most) {
        if ((module = PyImport_ImportModule("headgate.wire.refusal")) == NULL)
            return NULL;
        refused = PyObject_CallMethod(module, "too_large", "Onn", self->count_limit, most, count);
    }
    else {
        if ((module = PyImport_ImportModule("headgate.wire.grammar")) == NULL)
            return NULL;
        refused = PyObject_CallMethod(module, "fields_fault", "On", head, start);
    }
    Py_DECREF(module);
    if (refused != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(refused), refused);
        Py_DECREF(refused);
    }
    return NULL;
}

/* Append (id, value) to the list; return -1 with an exception when memory is short. */
static int append(PyObject *special, int id, const char *value, Py_ssize_t length)
{
    PyObject *pair = PyTuple_New(2), *number = PyLong_FromLong(id), *text = PyBytes_FromStringAndSize(value, length);
    int failed = pair == NULL || number == NULL || text == NULL;
    if (failed) {
        Py_XDECREF(number);
        Py_XDECREF(text);
    }
    else {
        PyTuple_SET_ITEM(pair, 0, number);
        PyTuple_SET_ITEM(pair, 1, text);
        failed = PyList_Append(special, pair) < 0;
    }
    Py_XDECREF(pair);
    return failed ? -1 : 0;
}

/* Read the line that begins at `at`. Return where the next one begins, or NULL when the line is not legal. */
static const char *read_line(Splitter *self, const char *at, const char *end, int *id, int *stays,
                             const char **value, const char **value_end)
{
    char lower[LONGEST_SPECIAL];
    size_t length = 0;
    int underscore = 0;
    unsigned char octet, bad = 0;
    const char *line_end;

    for (; at < end && (octet = lower_tchar[(unsigned char)*at]) != 0; at++, length++) {
        if (length < LONGEST_SPECIAL)
            lower[length] = (char)octet;
        underscore |= octet == '_';
    }
    if (length == 0 || at == end || *at != ':')
        return NULL;
    at++;
    line_end = memchr(at, '\n', (size_t)(end - at));
    if (line_end == NULL || line_end == at || line_end[-1] != '\r')
        return NULL;
    for (const char *octets = at; octets < line_end - 1; octets++)
        bad |= (unsigned char)!is_value_octet((unsigned char)*octets);
    if (bad)
        return NULL;
    *id = classify(self, lower, length, underscore, stays);
    *value = at;
    *value_end = line_end - 1;
    return line_end + 1;
}

static PyObject *split_section(Splitter *self, PyObject *head, Py_ssize_t start, Py_ssize_t most)
{
    const char *data = PyBytes_AS_STRING(head);
    const char *end = data + PyBytes_GET_SIZE(head), *line = data + start, *next, *value, *value_end;
    const char *kept = line; /* lines from here on are to be copied */
    PyObject *special = PyList_New(0), *forward = NULL, *result;
    Py_ssize_t count = 0, used = 0;
    int id, stays;

    if (special == NULL || (forward = PyBytes_FromStringAndSize(NULL, end - line)) == NULL)
        goto failed;
    for (; line < end; line = next) {
        stays = 0;
        next = ++count > most ? NULL : read_line(self, line, end, &id, &stays, &value, &value_end);
        if (next == NULL) {
            refuse(self, head, start, most);
            goto failed;
        }
        if (id == PLAIN)
            continue;
        if (id != DROPPED) {
            while (value < value_end && (*value == ' ' || *value == '\t'))
                value++;
            while (value < value_end && (value_end[-1] == ' ' || value_end[-1] == '\t'))
                value_end--;
            if (append(special, id, value, value_end - value) < 0)
                goto failed;
        }
        if (!stays) {
            memcpy(PyBytes_AS_STRING(forward) + used, kept, (size_t)(line - kept));
            used += line - kept;
            kept = next;
        }
    }
    memcpy(PyBytes_AS_STRING(forward) + used, kept, (size_t)(end - kept));
    used += end - kept;
    if (used != PyBytes_GET_SIZE(forward) && _PyBytes_Resize(&forward, used) < 0)
        goto failed;
    if ((result = PyTuple_New(2)) == NULL)
        goto failed;
    PyTuple_SET_ITEM(result, 0, forward);
    PyTuple_SET_ITEM(result, 1, special);
    return result;

failed:
    Py_XDECREF(special);
    Py_XDECREF(forward);
    return NULL;
}

PyDoc_STRVAR(split_doc, "split($self, head, start, most=1073741824, /)\n--\n\nSee PureSplitter.split in fields.py.");

static PyObject *Splitter_split(Splitter *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t start, size, most = (Py_ssize_t)1 << 30;

    if (count < 2 || count > 3)
        return PyErr_Format(PyExc_TypeError, "split expected 2 or 3 arguments, got %zd", count);
    if (!PyBytes_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "head must be bytes, not %.100s", Py_TYPE(args[0])->tp_name);
    start = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    if (start == -1 && PyErr_Occurred())
        return NULL;
    if (count == 3) {
        most = PyNumber_AsSsize_t(args[2], PyExc_OverflowError);
        if (most == -1 && PyErr_Occurred())
            return NULL;
    }
    size = PyBytes_GET_SIZE(args[0]);
    if (start < 0 || start > size)
        return PyErr_Format(PyExc_ValueError, "start %zd is not within the head", start);
    return split_section(self, args[0], start, most);
}

/* Add one special name. Return -1 with an exception when it is not acceptable. */
static int add_special(Splitter *self, PyObject *name, PyObject *number, PyObject *stay)
{
    Py_ssize_t length;
    const char *text;
    long id = PyLong_AsLong(number);
    int stays = PySequence_Contains(stay, number);
    Slot *slot;

    if ((id == -1 && PyErr_Occurred()) || stays < 0)
        return -1;
    length = PyBytes_Check(name) ? PyBytes_GET_SIZE(name) : 0;
    text = length ? PyBytes_AS_STRING(name) : "";
    for (Py_ssize_t at = 0; at < length; at++)
        if (lower_tchar[(unsigned char)text[at]] != (unsigned char)text[at] || text[at] == 0)
            length = 0;
    if (length == 0 || length > LONGEST_SPECIAL || id <= 0 || id > INT_MAX) {
        PyErr_SetString(PyExc_AssertionError, "special names are lower-case tokens of up to 64 octets, ids are above 0");
        return -1;
    }
    slot = find_slot(self, text, (size_t)length);
    slot->length = (unsigned char)length;
    memcpy(slot->name, text, (size_t)length);
    slot->id = (int)id;
    slot->stays = stays;
    return 0;
}

static int Splitter_init(Splitter *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"special", "stay", "count_limit", NULL};
    PyObject *special, *stay = NULL, *count_limit = NULL, *items, *nothing;
    int failed = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OU:Splitter", names, &special, &stay, &count_limit))
        return -1;
    if ((items = PyMapping_Items(special)) == NULL)
        return -1;
    if ((nothing = PyTuple_New(0)) == NULL) {
        Py_DECREF(items);
        return -1;
    }
    memset(self->slots, 0, sizeof self->slots);
    if (PyList_GET_SIZE(items) > MOST_SPECIAL) {
        PyErr_Format(PyExc_AssertionError, "at most %d special names", MOST_SPECIAL);
        failed = -1;
    }
    for (Py_ssize_t at = 0; !failed && at < PyList_GET_SIZE(items); at++) {
        PyObject *pair = PyList_GET_ITEM(items, at);
        failed = add_special(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), stay ? stay : nothing);
    }
    Py_DECREF(items);
    Py_DECREF(nothing);
    if (failed)
        return -1;
    count_limit = count_limit ? Py_NewRef(count_limit) : PyUnicode_FromString("");
    if (count_limit == NULL)
        return -1;
    Py_XSETREF(self->count_limit, count_limit);
    return 0;
}

static void Splitter_dealloc(Splitter *self)
{
    Py_CLEAR(self->count_limit);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Splitter_methods[] = {
    {"split", (PyCFunction)(void (*)(void))Splitter_split, METH_FASTCALL, split_doc},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject SplitterType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "headgate.wire._fields.Splitter",
    .tp_basicsize = sizeof(Splitter),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = PyDoc_STR("Splitter(special, stay=(), count_limit='')\n--\n\nPureSplitter of fields.py in C."),
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Splitter_init,
    .tp_dealloc = (destructor)Splitter_dealloc,
    .tp_methods = Splitter_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_fields",
    .m_doc = "The compiled twin of fields.PureSplitter.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__fields(void)
{
    PyObject *self;
    init_octets();
    if (PyType_Ready(&SplitterType) < 0 || (self = PyModule_Create(&module)) == NULL)
        return NULL;
    if (PyModule_AddObjectRef(self, "Splitter", (PyObject *)&SplitterType) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}
