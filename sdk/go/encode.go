package isolet

import (
	"encoding"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How deep a value may nest before it counts as a cycle of pointers, or as an attack.
const depthMax = 512

// Marshal packs a value as msgpack. Maps are written in the order of their keys, everything in its shortest form: equal
// values give equal bytes.
func Marshal(value any) ([]byte, error) {
	e := encoder{}
	err := e.any(value)
	return e.bytes, err
}

// UnsupportedError is a value that has no form in msgpack: a function, a channel, a complex number, a cycle.
type UnsupportedError struct{ reason string }

func (e *UnsupportedError) Error() string { return "isolet: cannot encode the result: " + e.reason }

type jsonMarshaler interface{ MarshalJSON() ([]byte, error) }

// What of ours writes itself.
type msgpackEncoder interface{ encodeMsgpack(*encoder) error }

type encoder struct {
	bytes []byte
	depth int
}

func (e *encoder) head(first byte, number uint64, wide int) {
	e.bytes = append(e.bytes, first)
	for shift := 8 * (wide - 1); shift >= 0; shift -= 8 {
		e.bytes = append(e.bytes, byte(number>>shift))
	}
}

func (e *encoder) nil() { e.bytes = append(e.bytes, 0xc0) }

func (e *encoder) bool(value bool) {
	if value {
		e.bytes = append(e.bytes, 0xc3)
	} else {
		e.bytes = append(e.bytes, 0xc2)
	}
}

func (e *encoder) uint(value uint64) {
	switch {
	case value < 0x80:
		e.head(byte(value), 0, 0)
	case value <= math.MaxUint8:
		e.head(0xcc, value, 1)
	case value <= math.MaxUint16:
		e.head(0xcd, value, 2)
	case value <= math.MaxUint32:
		e.head(0xce, value, 4)
	default:
		e.head(0xcf, value, 8)
	}
}

func (e *encoder) int(value int64) {
	switch {
	case value >= 0:
		e.uint(uint64(value))
	case value >= -32:
		e.head(byte(value), 0, 0)
	case value >= math.MinInt8:
		e.head(0xd0, uint64(value), 1)
	case value >= math.MinInt16:
		e.head(0xd1, uint64(value), 2)
	case value >= math.MinInt32:
		e.head(0xd2, uint64(value), 4)
	default:
		e.head(0xd3, uint64(value), 8)
	}
}

func (e *encoder) float(value float64) { e.head(0xcb, math.Float64bits(value), 8) }

// string writes text. What is not UTF-8 in it becomes U+FFFD, as in encoding/json: the host refuses anything else.
func (e *encoder) string(text string) {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	length := uint64(len(text))
	switch {
	case length < 32:
		e.head(0xa0|byte(length), 0, 0)
	case length <= math.MaxUint8:
		e.head(0xd9, length, 1)
	case length <= math.MaxUint16:
		e.head(0xda, length, 2)
	default:
		e.head(0xdb, length, 4)
	}
	e.bytes = append(e.bytes, text...)
}

func (e *encoder) binary(bytes []byte) {
	length := uint64(len(bytes))
	switch {
	case length <= math.MaxUint8:
		e.head(0xc4, length, 1)
	case length <= math.MaxUint16:
		e.head(0xc5, length, 2)
	default:
		e.head(0xc6, length, 4)
	}
	e.bytes = append(e.bytes, bytes...)
}

func (e *encoder) array(length int) {
	switch {
	case length < 16:
		e.head(0x90|byte(length), 0, 0)
	case length <= math.MaxUint16:
		e.head(0xdc, uint64(length), 2)
	default:
		e.head(0xdd, uint64(length), 4)
	}
}

func (e *encoder) mapping(pairs int) {
	switch {
	case pairs < 16:
		e.head(0x80|byte(pairs), 0, 0)
	case pairs <= math.MaxUint16:
		e.head(0xde, uint64(pairs), 2)
	default:
		e.head(0xdf, uint64(pairs), 4)
	}
}

func (e *encoder) any(value any) error {
	switch v := value.(type) { // what `any` holds most often, without reflection
	case nil:
		e.nil()
	case bool:
		e.bool(v)
	case string:
		e.string(v)
	case int64:
		e.int(v)
	case uint64:
		e.uint(v)
	case float64:
		e.float(v)
	case []byte:
		if v == nil {
			e.nil()
		} else {
			e.binary(v)
		}
	case map[string]any:
		return e.stringMap(v)
	default:
		return e.reflected(reflect.ValueOf(value))
	}
	return nil
}

func (e *encoder) stringMap(values map[string]any) error {
	if values == nil {
		e.nil()
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	e.mapping(len(keys))
	for _, key := range keys {
		e.string(key)
		if err := e.any(values[key]); err != nil {
			return err
		}
	}
	e.depth--
	return nil
}

func (e *encoder) enter() error {
	if e.depth++; e.depth > depthMax {
		return &UnsupportedError{"it is nested deeper than " + strconv.Itoa(depthMax) + ", or holds itself"}
	}
	return nil
}

func (e *encoder) reflected(v reflect.Value) error {
	if !v.IsValid() {
		e.nil()
		return nil
	}
	if done, err := e.byMethod(v); done {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		e.bool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.uint(v.Uint())
	case reflect.Float32, reflect.Float64:
		e.float(v.Float())
	case reflect.String:
		e.string(v.String())
	case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() {
			e.nil()
			return nil
		}
		return e.nested(v)
	case reflect.Array, reflect.Struct:
		return e.nested(v)
	default:
		return &UnsupportedError{"a " + v.Type().String() + " has no form in it"}
	}
	return nil
}

func (e *encoder) nested(v reflect.Value) error {
	if err := e.enter(); err != nil {
		return err
	}
	var err error
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		err = e.reflected(v.Elem())
	case reflect.Map:
		err = e.reflectedMap(v)
	case reflect.Struct:
		err = e.structure(v)
	default:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			e.binary(v.Bytes())
			break
		}
		e.array(v.Len())
		for i := 0; i < v.Len() && err == nil; i++ {
			err = e.reflected(v.Index(i))
		}
	}
	e.depth--
	return err
}

// byMethod lets a value write itself: ours, then as JSON, then as text; the order of encoding/json.
func (e *encoder) byMethod(v reflect.Value) (bool, error) {
	how := methodsOf(v.Type())
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil() || !v.CanInterface():
		return false, nil
	case how.writesItself:
	case how.pointerWritesItself && v.CanAddr():
		v = v.Addr()
	default:
		return false, nil
	}
	switch m := v.Interface().(type) {
	case msgpackEncoder:
		return true, m.encodeMsgpack(e)
	case jsonMarshaler:
		text, err := m.MarshalJSON()
		if err != nil {
			return true, err
		}
		return true, e.fromJSON(text)
	case encoding.TextMarshaler:
		text, err := m.MarshalText()
		e.string(string(text))
		return true, err
	}
	return false, nil
}

func (e *encoder) reflectedMap(v reflect.Value) error {
	type pair struct {
		key   string
		value reflect.Value
	}
	pairs := make([]pair, 0, v.Len())
	for each := v.MapRange(); each.Next(); {
		key, err := keyText(each.Key())
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{key, each.Value()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	e.mapping(len(pairs))
	for _, p := range pairs {
		e.string(p.key)
		if err := e.reflected(p.value); err != nil {
			return err
		}
	}
	return nil
}

// keyText is a map key as a string: the ABI has no others.
func keyText(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if m, ok := key.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case key.CanInt():
		return strconv.FormatInt(key.Int(), 10), nil
	case key.CanUint():
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", &UnsupportedError{"a " + key.Type().String() + " cannot be a map's key"}
}

func (e *encoder) structure(v reflect.Value) error {
	fields := fieldsOf(v.Type())
	there := make([]reflect.Value, len(fields.list))
	count := 0
	for i, field := range fields.list {
		value, reached := field.get(v)
		if !reached || field.omitEmpty && isEmpty(value) || field.omitZero && isZero(value) {
			continue
		}
		there[i] = value
		count++
	}
	e.mapping(count)
	for i, field := range fields.list {
		if !there[i].IsValid() {
			continue
		}
		e.string(field.name)
		if err := e.reflected(there[i]); err != nil {
			return err
		}
	}
	return nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func isZero(v reflect.Value) bool {
	if v.CanInterface() {
		if m, ok := v.Interface().(interface{ IsZero() bool }); ok {
			return v.Kind() == reflect.Pointer && v.IsNil() || m.IsZero()
		}
	}
	return v.IsZero()
}
