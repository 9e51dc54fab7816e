package isolet

import (
	"encoding"
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Unmarshal decodes exactly one msgpack value into what `into` points to. The bytes may be anyone's: lengths are checked
// before memory is taken, depth is bounded.
func Unmarshal(data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return &TypeError{path: "", reason: "Unmarshal needs a pointer"}
	}
	d := decoder{data: data}
	if err := d.into(v.Elem()); err != nil {
		return err
	}
	if d.at != len(data) {
		return &MalformedError{strconv.Itoa(len(data)-d.at) + " bytes behind the value"}
	}
	return nil
}

// MalformedError is bytes that are not one msgpack value of the ABI.
type MalformedError struct{ reason string }

func (e *MalformedError) Error() string { return "isolet: malformed msgpack: " + e.reason }

// TypeError is a value that does not fit the Go type it is meant for.
type TypeError struct{ path, reason string }

func (e *TypeError) Error() string {
	if e.path == "" {
		return "isolet: " + e.reason
	}
	return "isolet: " + e.path + ": " + e.reason
}

func within(err error, step string) error {
	if e, ok := err.(*TypeError); ok {
		if e.path != "" && e.path[0] != '[' {
			step += "."
		}
		return &TypeError{step + e.path, e.reason}
	}
	return err
}

type jsonUnmarshaler interface{ UnmarshalJSON([]byte) error }

// What of ours reads itself.
type msgpackDecoder interface{ decodeMsgpack(*decoder) error }

type decoder struct {
	data  []byte
	at    int
	depth int
	// data is the host's: strings are UTF-8, and they and binary may point into it, since it stays as it is for as long as
	// the function lives. A copy would cost an allocation each, most of what decoding a small event costs.
	hosts bool
}

type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindInt
	kindUint // an integer beyond int64
	kindFloat
	kindString
	kindBinary
	kindArray
	kindMap
)

var kindNames = [...]string{"null", "a boolean", "an integer", "an integer", "a number", "a string", "binary", "an array", "an object"}

// head is a value's first byte taken apart. bits: a scalar; length: bytes, elements, pairs.
type head struct {
	kind   kind
	bits   uint64
	length int
}

var errTruncated = &MalformedError{"it ends too early"}

// next reads a head, and makes sure that what it announces can be there: each element is a byte at least.
func (d *decoder) next() (head, error) {
	if d.at >= len(d.data) {
		return head{}, errTruncated
	}
	first := d.data[d.at]
	d.at++
	switch {
	case first < 0x80:
		return head{kindInt, uint64(first), 0}, nil
	case first < 0x90:
		return d.long(kindMap, uint64(first&0x0f))
	case first < 0xa0:
		return d.long(kindArray, uint64(first&0x0f))
	case first < 0xc0:
		return d.long(kindString, uint64(first&0x1f))
	case first >= 0xe0:
		return head{kindInt, uint64(int64(int8(first))), 0}, nil
	}
	switch first {
	case 0xc0:
		return head{kind: kindNil}, nil
	case 0xc2, 0xc3:
		return head{kindBool, uint64(first & 1), 0}, nil
	}
	wide := width(first)
	if wide == 0 {
		return head{}, &MalformedError{"byte 0x" + strconv.FormatUint(uint64(first), 16) + ", which the ABI has not"}
	}
	if len(d.data)-d.at < wide {
		return head{}, errTruncated
	}
	var number uint64
	for _, b := range d.data[d.at : d.at+wide] {
		number = number<<8 | uint64(b)
	}
	d.at += wide
	switch {
	case first <= 0xc6:
		return d.long(kindBinary, number)
	case first == 0xca:
		return head{kindFloat, math.Float64bits(float64(math.Float32frombits(uint32(number)))), 0}, nil
	case first == 0xcb:
		return head{kindFloat, number, 0}, nil
	case first <= 0xcf:
		if number > math.MaxInt64 {
			return head{kindUint, number, 0}, nil
		}
		return head{kindInt, number, 0}, nil
	case first <= 0xd3:
		shift := 64 - 8*wide
		return head{kindInt, uint64(int64(number<<shift) >> shift), 0}, nil
	case first <= 0xdb:
		return d.long(kindString, number)
	case first <= 0xdd:
		return d.long(kindArray, number)
	}
	return d.long(kindMap, number)
}

// width is the bytes of the number behind a first byte; 0 for 0xc1 and the extension types.
func width(first byte) int {
	switch {
	case first >= 0xc4 && first <= 0xc6:
		return 1 << (first - 0xc4)
	case first == 0xca:
		return 4
	case first == 0xcb:
		return 8
	case first >= 0xcc && first <= 0xcf:
		return 1 << (first - 0xcc)
	case first >= 0xd0 && first <= 0xd3:
		return 1 << (first - 0xd0)
	case first >= 0xd9 && first <= 0xdb:
		return 1 << (first - 0xd9)
	case first == 0xdc || first == 0xde:
		return 2
	case first == 0xdd || first == 0xdf:
		return 4
	}
	return 0
}

func (d *decoder) long(k kind, length uint64) (head, error) {
	least := length
	if k == kindMap {
		least *= 2
	}
	if least > uint64(len(d.data)-d.at) {
		return head{}, errTruncated
	}
	return head{k, 0, int(length)}, nil
}

func (d *decoder) take(length int) []byte {
	bytes := d.data[d.at : d.at+length : d.at+length]
	d.at += length
	return bytes
}

func (d *decoder) text(length int) (string, error) {
	bytes := d.take(length)
	if d.hosts {
		return unsafe.String(unsafe.SliceData(bytes), length), nil
	}
	if !utf8.Valid(bytes) {
		return "", &MalformedError{"a string that is not UTF-8"}
	}
	return string(bytes), nil
}

func (d *decoder) binary(length int) []byte {
	bytes := d.take(length)
	if d.hosts {
		return bytes
	}
	return append(make([]byte, 0, length), bytes...)
}

func (d *decoder) textOrBinary() ([]byte, error) {
	h, err := d.next()
	switch {
	case err != nil:
		return nil, err
	case h.kind == kindNil:
		return nil, nil
	case h.kind != kindString && h.kind != kindBinary:
		return nil, &TypeError{reason: kindNames[h.kind] + " is no body"}
	}
	return d.binary(h.length), nil
}

func (d *decoder) mapHead() (int, error) {
	h, err := d.next()
	if err == nil && h.kind != kindMap {
		err = &MalformedError{kindNames[h.kind] + " where an object belongs"}
	}
	return h.length, err
}

func (d *decoder) key() (string, error) {
	h, err := d.next()
	if err != nil {
		return "", err
	}
	if h.kind != kindString {
		return "", &MalformedError{"a key that is " + kindNames[h.kind]}
	}
	return d.text(h.length)
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > depthMax {
		return &MalformedError{"it is nested deeper than " + strconv.Itoa(depthMax)}
	}
	return nil
}

// skip steps over a value without looking at its strings. Nesting is counted, not recursed into.
func (d *decoder) skip() error {
	for pending := 1; pending > 0; pending-- {
		h, err := d.next()
		if err != nil {
			return err
		}
		switch h.kind {
		case kindString, kindBinary:
			d.at += h.length
		case kindArray:
			pending += h.length
		case kindMap:
			pending += 2 * h.length
		}
		if pending-1 > len(d.data)-d.at {
			return errTruncated
		}
	}
	return nil
}

// any decodes into what `any` holds: map[string]any, []any, string, []byte, int64 (uint64 beyond it), float64, bool, nil.
func (d *decoder) any() (any, error) {
	h, err := d.next()
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case kindBool:
		return h.bits != 0, nil
	case kindInt:
		return int64(h.bits), nil
	case kindUint:
		return h.bits, nil
	case kindFloat:
		return math.Float64frombits(h.bits), nil
	case kindString:
		return d.text(h.length)
	case kindBinary:
		return d.binary(h.length), nil
	case kindArray:
		return d.anyArray(h.length)
	case kindMap:
		return d.anyMap(h.length)
	}
	return nil, nil
}

func (d *decoder) anyArray(length int) (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	// Growing as it goes: a head costs its sender five bytes, and an element here takes sixteen.
	array := make([]any, 0, min(length, 1024))
	for range length {
		item, err := d.any()
		if err != nil {
			return nil, err
		}
		array = append(array, item)
	}
	d.depth--
	return array, nil
}

func (d *decoder) anyMap(pairs int) (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	object := make(map[string]any, min(pairs, 1024))
	for range pairs {
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		if object[key], err = d.any(); err != nil {
			return nil, err
		}
	}
	d.depth--
	return object, nil
}

func (d *decoder) into(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		return d.intoPointer(v)
	}
	if done, err := d.byMethod(v); done {
		return err
	}
	if v.Kind() == reflect.Interface {
		if v.NumMethod() != 0 {
			return &TypeError{reason: "a " + v.Type().String() + " cannot be decoded into"}
		}
		value, err := d.any()
		if err != nil {
			return err
		}
		if value == nil {
			v.SetZero()
		} else {
			v.Set(reflect.ValueOf(value))
		}
		return nil
	}
	h, err := d.next()
	if err != nil {
		return err
	}
	switch h.kind {
	case kindNil:
		return nil // null changes nothing, as in encoding/json
	case kindArray:
		return d.arrayInto(v, h.length)
	case kindMap:
		return d.mapInto(v, h.length)
	case kindString:
		return d.stringInto(v, h.length)
	case kindBinary:
		return d.binaryInto(v, h.length)
	}
	return scalarInto(v, h)
}

func (d *decoder) intoPointer(v reflect.Value) error {
	if d.at < len(d.data) && d.data[d.at] == 0xc0 {
		d.at++
		v.SetZero()
		return nil
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return d.into(v.Elem())
}

// byMethod lets a value read itself: ours, then from JSON, then from text.
func (d *decoder) byMethod(v reflect.Value) (bool, error) {
	if !methodsOf(v.Type()).pointerReadsItself || !v.CanAddr() || !v.Addr().CanInterface() {
		return false, nil
	}
	switch m := v.Addr().Interface().(type) {
	case msgpackDecoder:
		return true, m.decodeMsgpack(d)
	case jsonUnmarshaler:
		text, err := d.json(nil)
		if err != nil {
			return true, err
		}
		return true, m.UnmarshalJSON(text)
	case encoding.TextUnmarshaler:
		if d.at >= len(d.data) || !(d.data[d.at]&0xe0 == 0xa0 || d.data[d.at] >= 0xd9 && d.data[d.at] <= 0xdb) {
			return false, nil
		}
		text, err := d.key()
		if err != nil {
			return true, err
		}
		return true, m.UnmarshalText([]byte(text))
	}
	return false, nil
}

func mismatch(v reflect.Value, k kind) error {
	return &TypeError{reason: kindNames[k] + " does not fit a " + v.Type().String()}
}

func scalarInto(v reflect.Value, h head) error {
	fits := false
	switch {
	case h.kind == kindBool:
		if fits = v.Kind() == reflect.Bool; fits {
			v.SetBool(h.bits != 0)
		}
	case v.CanFloat():
		fits = true
		switch h.kind {
		case kindInt:
			v.SetFloat(float64(int64(h.bits)))
		case kindUint:
			v.SetFloat(float64(h.bits))
		default:
			v.SetFloat(math.Float64frombits(h.bits))
		}
	case v.CanInt():
		number, exact := h.integer()
		if fits = exact && !v.OverflowInt(number); fits {
			v.SetInt(number)
		}
	case v.CanUint():
		number, exact := h.integer()
		if h.kind == kindUint {
			number, exact = int64(h.bits), true
		} else if number < 0 {
			exact = false
		}
		if fits = exact && !v.OverflowUint(uint64(number)); fits {
			v.SetUint(uint64(number))
		}
	}
	if !fits {
		return mismatch(v, h.kind)
	}
	return nil
}

// integer is the value as an int64, if it is one: 2.0 is, 2.5 is not.
func (h head) integer() (int64, bool) {
	switch h.kind {
	case kindInt:
		return int64(h.bits), true
	case kindFloat:
		number := math.Float64frombits(h.bits)
		return int64(number), number == math.Trunc(number) && math.Abs(number) < 1<<63
	}
	return 0, false
}

func (d *decoder) stringInto(v reflect.Value, length int) error {
	text, err := d.text(length)
	switch {
	case err != nil:
		return err
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		// An event that came as JSON has its bytes in base64.
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return &TypeError{reason: "a string that is not base64 does not fit a " + v.Type().String()}
		}
		v.SetBytes(bytes)
	default:
		return mismatch(v, kindString)
	}
	return nil
}

func (d *decoder) binaryInto(v reflect.Value, length int) error {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(d.binary(length))
	case v.Kind() == reflect.String:
		v.SetString(base64.StdEncoding.EncodeToString(d.take(length))) // the event as its JSON would be
	default:
		return mismatch(v, kindBinary)
	}
	return nil
}

func (d *decoder) arrayInto(v reflect.Value, length int) error {
	if err := d.enter(); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, min(length, 1024)))
	case reflect.Array:
		v.SetZero()
	default:
		return mismatch(v, kindArray)
	}
	for i := range length {
		var err error
		switch {
		case v.Kind() == reflect.Array && i >= v.Len():
			err = d.skip()
		case v.Kind() == reflect.Array:
			err = d.into(v.Index(i))
		default:
			v.Grow(1)
			v.SetLen(i + 1)
			v.Index(i).SetZero()
			err = d.into(v.Index(i))
		}
		if err != nil {
			return within(err, "["+strconv.Itoa(i)+"]")
		}
	}
	d.depth--
	return nil
}

func (d *decoder) mapInto(v reflect.Value, pairs int) error {
	if err := d.enter(); err != nil {
		return err
	}
	var err error
	switch v.Kind() {
	case reflect.Struct:
		err = d.structInto(v, pairs)
	case reflect.Map:
		err = d.goMapInto(v, pairs)
	default:
		err = mismatch(v, kindMap)
	}
	d.depth--
	return err
}

func (d *decoder) structInto(v reflect.Value, pairs int) error {
	known := fieldsOf(v.Type())
	for range pairs {
		key, err := d.key()
		if err != nil {
			return err
		}
		if i := known.find(key); i >= 0 {
			err = d.into(known.list[i].reach(v))
		} else {
			err = d.skip()
		}
		if err != nil {
			return within(err, key)
		}
	}
	return nil
}

func (d *decoder) goMapInto(v reflect.Value, pairs int) error {
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(t, min(pairs, 1024)))
	}
	for range pairs {
		text, err := d.key()
		if err != nil {
			return err
		}
		key := reflect.New(t.Key()).Elem()
		if err := keyInto(key, text); err != nil {
			return err
		}
		value := reflect.New(t.Elem()).Elem()
		if err := d.into(value); err != nil {
			return within(err, text)
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

func keyInto(key reflect.Value, text string) error {
	if m, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok && key.Kind() != reflect.String {
		return m.UnmarshalText([]byte(text))
	}
	var err error
	switch {
	case key.Kind() == reflect.String:
		key.SetString(text)
	case key.CanInt():
		var number int64
		if number, err = strconv.ParseInt(text, 10, key.Type().Bits()); err == nil {
			key.SetInt(number)
		}
	case key.CanUint():
		var number uint64
		if number, err = strconv.ParseUint(text, 10, key.Type().Bits()); err == nil {
			key.SetUint(number)
		}
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		return &TypeError{reason: "the key " + strconv.Quote(text) + " does not fit a " + key.Type().String()}
	}
	return nil
}
