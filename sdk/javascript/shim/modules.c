/*
 * Compiling and linking. Which file a name means, and what kind of file it is, library/modules.js decides.
 *
 *   compileFunction(source, filename)    a CommonJS wrapper
 *   moduleLoad(url)                      compiles a module and all it imports; a handle
 *   moduleEvaluate(handle)               links and runs it; a promise
 *   moduleNamespace(handle)
 *
 * Laws:
 * - An ES module is known by its URL and compiled once. Its imports are resolved by the library (`resolveImport`), and
 *   what is not an ES module (CommonJS, JSON, builtins) is a synthetic one: names first, values when it is its turn.
 * - Lines and columns are those of the file: the wrapper stands on a line of its own before the first.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

static JSModuleDef **modules; /* by handle */
static int modules_count, modules_capacity;

static JSValue hook(const char *name, int argc, JSValueConst *argv)
{
    JSValue function = JS_GetPropertyStr(context, library, name);
    JSValue made = JS_Call(context, function, JS_UNDEFINED, argc, argv);
    JS_FreeValue(context, function);
    return made;
}

/* ── scripts and wrappers ────────────────────────────────────────────────────────────────────────────────────── */

static JSValue evaluate(const char *source, size_t length, const char *filename, int line, int flags)
{
    JSEvalOptions options = {JS_EVAL_OPTIONS_VERSION, flags, filename, line};
    return JS_Eval2(context, source, length, &options);
}

JSValue modules_script(const char *source, size_t length, const char *filename)
{
    isolet_keep_source = 0;
    JSValue made = evaluate(source, length, filename, 1, JS_EVAL_TYPE_GLOBAL);
    isolet_keep_source = 1;
    return made;
}

static const char HEAD[] = "(function (exports, require, module, __filename, __dirname) {\n";
static const char TAIL[] = "\n})";

/* compileFunction(source, filename, strip?) → function (exports, require, module, __filename, __dirname) */
static JSValue compile_function(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *source = JS_ToCStringLen(ctx, &length, argv[0]);
    const char *filename = JS_ToCString(ctx, argv[1]);
    JSValue made = JS_EXCEPTION;
    Bytes wrapped = {0};
    if (source && filename) {
        bytes_put(&wrapped, HEAD, sizeof HEAD - 1);
        if (length > 1 && source[0] == '#' && source[1] == '!')
            bytes_put(&wrapped, "//", 2);
        bytes_put(&wrapped, source, length);
        bytes_put(&wrapped, TAIL, sizeof TAIL); /* and its NUL */
        if (wrapped.failed)
            JS_ThrowOutOfMemory(ctx);
        else {
            isolet_keep_source = !(argc > 2 && JS_ToBool(ctx, argv[2]));
            made = evaluate((char *)wrapped.bytes, wrapped.length - 1, filename, -1, JS_EVAL_TYPE_GLOBAL);
            isolet_keep_source = 1;
        }
    }
    free(wrapped.bytes);
    JS_FreeCString(ctx, source);
    JS_FreeCString(ctx, filename);
    return made;
}

/* runScript(source, filename): a script in the global scope, for `vm` and indirect evaluation. */
static JSValue run_script(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *source = JS_ToCStringLen(ctx, &length, argv[0]);
    const char *filename = JS_ToCString(ctx, argv[1]);
    JSValue made = source && filename ? evaluate(source, length, filename, 1, JS_EVAL_TYPE_GLOBAL) : JS_EXCEPTION;
    JS_FreeCString(ctx, source);
    JS_FreeCString(ctx, filename);
    return made;
}

/* isModule(source): whether it parses as a module and says something only a module may. The caller knows that it is no
 * script. */
static JSValue is_module(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *source = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!source)
        return JS_EXCEPTION;
    JSValue made = JS_NewBool(ctx, JS_DetectModule(source, length));
    JS_FreeCString(ctx, source);
    return made;
}

/* ── ES modules ──────────────────────────────────────────────────────────────────────────────────────────────── */

/* A synthetic module's turn has come: its values. */
static int fill_synthetic(JSContext *ctx, JSModuleDef *m)
{
    JSAtom atom = JS_GetModuleName(ctx, m);
    JSValue name = JS_AtomToString(ctx, atom);
    JS_FreeAtom(ctx, atom);
    JSValue values = hook("syntheticValues", 1, (JSValueConst *)&name);
    JS_FreeValue(ctx, name);
    if (JS_IsException(values))
        return -1;
    JSPropertyEnum *names;
    uint32_t count;
    int done = JS_GetOwnPropertyNames(ctx, &names, &count, values, JS_GPN_STRING_MASK);
    if (done == 0) {
        for (uint32_t i = 0; i < count && done == 0; i++) {
            JSValue value = JS_GetProperty(ctx, values, names[i].atom);
            const char *export = JS_AtomToCString(ctx, names[i].atom);
            if (JS_IsException(value) || !export)
                done = -1;
            else if (JS_SetModuleExport(ctx, m, export, value) < 0)
                JS_FreeValue(ctx, JS_GetException(ctx)); /* a name that nobody declared */
            JS_FreeCString(ctx, export);
        }
        JS_FreePropertyEnum(ctx, names, count);
    }
    JS_FreeValue(ctx, values);
    return done;
}

static JSModuleDef *synthetic(const char *url, JSValueConst names)
{
    JSModuleDef *m = JS_NewCModule(context, url, fill_synthetic);
    int64_t count;
    if (!m || JS_GetLength(context, names, &count) < 0)
        return NULL;
    for (int64_t i = 0; i < count; i++) {
        JSValue value = JS_GetPropertyInt64(context, names, i);
        const char *name = JS_ToCString(context, value);
        JS_FreeValue(context, value);
        if (!name)
            return NULL;
        JS_AddModuleExport(context, m, name);
        JS_FreeCString(context, name);
    }
    return m;
}

static JSModuleDef *compiled(const char *url, JSValueConst source)
{
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, source);
    if (!text)
        return NULL;
    JSValue made = evaluate(text, length, url, 1, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    JS_FreeCString(context, text);
    if (JS_IsException(made))
        return NULL;
    JSModuleDef *m = JS_VALUE_GET_PTR(made);
    JSValue arguments[2] = {JS_NewString(context, url), JS_GetImportMeta(context, m)};
    JSValue done = hook("fillMeta", 2, arguments);
    JS_FreeValue(context, arguments[0]);
    JS_FreeValue(context, arguments[1]);
    JS_FreeValue(context, made); /* the context keeps its modules */
    return JS_IsException(done) ? NULL : m;
}

static int kept(JSModuleDef *m)
{
    for (int i = 0; i < modules_count; i++)
        if (modules[i] == m)
            return i;
    if (modules_count == modules_capacity) {
        int capacity = modules_capacity ? 2 * modules_capacity : 32;
        JSModuleDef **more = realloc(modules, capacity * sizeof *more);
        if (!more)
            return -1;
        modules = more;
        modules_capacity = capacity;
    }
    modules[modules_count] = m;
    return modules_count++;
}

/* The engine wants the module of this URL for the first time. */
static JSModuleDef *load(JSContext *ctx, const char *url, void *opaque, JSValueConst attributes)
{
    JSValue arguments[2] = {JS_NewString(ctx, url), JS_DupValue(ctx, attributes)};
    JSValue described = hook("describeModule", 2, arguments); /* a source text, or the names of a synthetic module */
    JS_FreeValue(ctx, arguments[0]);
    JS_FreeValue(ctx, arguments[1]);
    if (JS_IsException(described))
        return NULL;
    JSModuleDef *m = JS_IsString(described) ? compiled(url, described) : synthetic(url, described);
    JS_FreeValue(ctx, described);
    if (!m)
        return NULL;
    JSValue registered[2] = {JS_NewString(ctx, url), JS_NewInt32(ctx, kept(m))};
    JSValue done = hook("registerModule", 2, registered);
    JS_FreeValue(ctx, registered[0]);
    JS_FreeValue(ctx, done);
    return m;
}

static char *normalize(JSContext *ctx, const char *base, const char *name, JSValueConst attributes, void *opaque)
{
    JSValue arguments[3] = {JS_NewString(ctx, name), JS_NewString(ctx, base), JS_DupValue(ctx, attributes)};
    JSValue url = hook("resolveImport", 3, arguments);
    for (int i = 0; i < 3; i++)
        JS_FreeValue(ctx, arguments[i]);
    if (JS_IsException(url))
        return NULL;
    const char *text = JS_ToCString(ctx, url);
    JS_FreeValue(ctx, url);
    char *made = text ? js_strdup(ctx, text) : NULL;
    JS_FreeCString(ctx, text);
    return made;
}

static int any_attributes(JSContext *ctx, void *opaque, JSValueConst attributes)
{
    return 0; /* the library judges them in describeModule */
}

static JSModuleDef *handle(JSValueConst value)
{
    int index;
    if (JS_ToInt32(context, &index, value) < 0)
        return NULL;
    if (index < 0 || index >= modules_count) {
        JS_ThrowInternalError(context, "no such module");
        return NULL;
    }
    return modules[index];
}

/* moduleLoad(url): compiles it, and what it imports. Only for a URL that registerModule was not told yet. */
static JSValue module_load(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *url = JS_ToCString(ctx, argv[0]);
    if (!url)
        return JS_EXCEPTION;
    JSModuleDef *m = load(ctx, url, NULL, argc > 1 ? argv[1] : JS_UNDEFINED);
    JS_FreeCString(ctx, url);
    if (!m || JS_ResolveModule(ctx, JS_MKPTR(JS_TAG_MODULE, m)) < 0)
        return JS_EXCEPTION;
    return JS_NewInt32(ctx, kept(m));
}

static JSValue module_evaluate(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JSModuleDef *m = handle(argv[0]);
    if (!m)
        return JS_EXCEPTION;
    return JS_EvalFunction(ctx, JS_DupValue(ctx, JS_MKPTR(JS_TAG_MODULE, m)));
}

static JSValue module_namespace(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JSModuleDef *m = handle(argv[0]);
    return m ? JS_GetModuleNamespace(ctx, m) : JS_EXCEPTION;
}

/* The library's function that makes a stack of an error and its frames. */
static JSValue prepare_stack(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JS_FreeValue(ctx, isolet_prepare_stack);
    isolet_prepare_stack = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("compileFunction", 3, compile_function),
    JS_CFUNC_DEF("runScript", 2, run_script),
    JS_CFUNC_DEF("isModule", 1, is_module),
    JS_CFUNC_DEF("moduleLoad", 2, module_load),
    JS_CFUNC_DEF("moduleEvaluate", 1, module_evaluate),
    JS_CFUNC_DEF("moduleNamespace", 1, module_namespace),
    JS_CFUNC_DEF("prepareStack", 1, prepare_stack),
};

void modules_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
    JS_SetModuleLoaderFunc2(runtime, NULL, load, any_attributes, NULL);
    JS_SetModuleNormalizeFunc2(runtime, normalize);
}
