// `util.types`: what a value is by the engine, whatever it says of itself. The engine's numbers of its classes are learned
// from one example each.
"use strict";
const native = require("native");
const { classOf } = native;

const generator = function* () {};
const asyncGenerator = async function* () {};
const asyncFunction = async () => {};
const CLASS = {
  Map: classOf(new Map()),
  Set: classOf(new Set()),
  WeakMap: classOf(new WeakMap()),
  WeakSet: classOf(new WeakSet()),
  WeakRef: classOf(new WeakRef({})),
  MapIterator: classOf(new Map().entries()),
  SetIterator: classOf(new Set().values()),
  RegExp: classOf(/./),
  Date: classOf(new Date(0)),
  Error: classOf(new Error()),
  DOMException: classOf(new DOMException("")),
  Promise: classOf(Promise.resolve()),
  ArrayBuffer: classOf(new ArrayBuffer(0)),
  SharedArrayBuffer: typeof SharedArrayBuffer === "function" ? classOf(new SharedArrayBuffer(0)) : -1,
  DataView: classOf(new DataView(new ArrayBuffer(1))),
  Number: classOf(Object(0)),
  String: classOf(Object("")),
  Boolean: classOf(Object(false)),
  BigInt: classOf(Object(0n)),
  Symbol: classOf(Object(Symbol.iterator)),
  Generator: classOf(generator()),
  AsyncGenerator: classOf(asyncGenerator()),
  GeneratorFunction: classOf(generator),
  AsyncGeneratorFunction: classOf(asyncGenerator),
  AsyncFunction: classOf(asyncFunction),
  Arguments: classOf((function () { return arguments; })()),
  MappedArguments: classOf(Function("a", "return arguments")(1)),
};

const test = (...names) => {
  const wanted = new Set(names.map((name) => CLASS[name]));
  return (value) => wanted.has(classOf(value));
};

const typedArrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
const nameOfTypedArray = (value) => (ArrayBuffer.isView(value) ? typedArrayName.call(value) : undefined);
const isBoxed = test("Number", "String", "Boolean", "BigInt", "Symbol");
const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

module.exports = {
  isMap: test("Map"),
  isSet: test("Set"),
  isWeakMap: test("WeakMap"),
  isWeakSet: test("WeakSet"),
  isMapIterator: test("MapIterator"),
  isSetIterator: test("SetIterator"),
  isRegExp: test("RegExp"),
  isDate: test("Date"),
  isNativeError: test("Error"),
  isPromise: test("Promise"),
  isArrayBuffer: test("ArrayBuffer"),
  isSharedArrayBuffer: test("SharedArrayBuffer"),
  isAnyArrayBuffer: test("ArrayBuffer", "SharedArrayBuffer"),
  isDataView: test("DataView"),
  isNumberObject: test("Number"),
  isStringObject: test("String"),
  isBooleanObject: test("Boolean"),
  isBigIntObject: test("BigInt"),
  isSymbolObject: test("Symbol"),
  isBoxedPrimitive: (value) => isObject(value) && isBoxed(value),
  isGeneratorObject: test("Generator", "AsyncGenerator"),
  isGeneratorFunction: test("GeneratorFunction", "AsyncGeneratorFunction"),
  isAsyncFunction: test("AsyncFunction", "AsyncGeneratorFunction"),
  isArgumentsObject: test("Arguments", "MappedArguments"),
  isArrayBufferView: ArrayBuffer.isView,
  isTypedArray: (value) => nameOfTypedArray(value) !== undefined,
  isProxy: (value) => native.proxyDetails(value) !== undefined,
  isExternal: () => false,
  isModuleNamespaceObject: (value) => isObject(value) && Object.prototype.toString.call(value) === "[object Module]" && Object.getPrototypeOf(value) === null,
  isCryptoKey: () => false,
  isKeyObject: () => false,
};
for (const name of ["Uint8Array", "Uint8ClampedArray", "Uint16Array", "Uint32Array", "Int8Array", "Int16Array", "Int32Array", "Float16Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array"])
  module.exports[`is${name}`] = (value) => nameOfTypedArray(value) === name;
Object.defineProperty(module.exports, "nameOfTypedArray", { value: nameOfTypedArray, enumerable: false });
