/*
 * What JavaScript itself cannot ask of a value: for util.inspect, util.types, AsyncLocalStorage.
 */
#include "shim.h"

/* [state, value]: 0 pending, 1 fulfilled, 2 rejected; undefined if it is no promise. */
static JSValue promise_state(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    if (!JS_IsPromise(argv[0]))
        return JS_UNDEFINED;
    JSValue array = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, array, 0, JS_NewInt32(ctx, JS_PromiseState(ctx, argv[0])), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, array, 1, JS_PromiseResult(ctx, argv[0]), JS_PROP_C_W_E);
    return array;
}

/* [target, handler]; undefined if it is no proxy. */
static JSValue proxy_details(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    if (!JS_IsObject(argv[0]) || !JS_IsProxy(argv[0]))
        return JS_UNDEFINED;
    JSValue array = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, array, 0, JS_GetProxyTarget(ctx, argv[0]), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, array, 1, JS_GetProxyHandler(ctx, argv[0]), JS_PROP_C_W_E);
    return array;
}

/* The engine's number for an object's class; the library learns by example which is which. */
static JSValue class_of(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    return JS_NewInt32(ctx, JS_IsObject(argv[0]) ? (int)JS_GetClassID(argv[0]) : 0);
}

static JSValue is_constructor(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    return JS_NewBool(ctx, JS_IsConstructor(ctx, argv[0]));
}

static JSValue detach(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JS_DetachArrayBuffer(ctx, argv[0]);
    return JS_UNDEFINED;
}

/* The stores of AsyncLocalStorage that are in force; see library/frames.js. */
extern JSValue isolet_frame;

static JSValue frame(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    return JS_DupValue(ctx, isolet_frame);
}

static JSValue set_frame(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JS_FreeValue(ctx, isolet_frame);
    isolet_frame = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("promiseState", 1, promise_state),
    JS_CFUNC_DEF("proxyDetails", 1, proxy_details),
    JS_CFUNC_DEF("classOf", 1, class_of),
    JS_CFUNC_DEF("isConstructor", 1, is_constructor),
    JS_CFUNC_DEF("detach", 1, detach),
    JS_CFUNC_DEF("frame", 0, frame),
    JS_CFUNC_DEF("setFrame", 1, set_frame),
};

void inspect_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
