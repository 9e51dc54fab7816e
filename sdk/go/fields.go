package isolet

import (
	"encoding"
	"reflect"
	"strings"
	"sync"
)

// A struct's fields as encoding/json sees them: by tag or name, those of embedded structs as one's own.

type field struct {
	name                string
	index               []int
	kind                reflect.Type
	omitEmpty, omitZero bool
	tagged              bool
}

type fields struct {
	list   []field
	byName map[string]int
}

// find is the number of the field that a key is for, -1 if there is none: by name, or else by one that differs in case only.
func (f *fields) find(key string) int {
	if i, found := f.byName[key]; found {
		return i
	}
	for i := range f.list {
		if len(f.list[i].name) == len(key) && strings.EqualFold(f.list[i].name, key) {
			return i
		}
	}
	return -1
}

var fieldsKnown sync.Map // reflect.Type → *fields

func fieldsOf(t reflect.Type) *fields {
	if known, ok := fieldsKnown.Load(t); ok {
		return known.(*fields)
	}
	found := &fields{byName: map[string]int{}}
	found.list = dominant(collect(t, nil, map[reflect.Type]bool{}))
	for i, f := range found.list {
		found.byName[f.name] = i
	}
	fieldsKnown.Store(t, found)
	return found
}

func collect(t reflect.Type, above []int, inside map[reflect.Type]bool) []field {
	if inside[t] {
		return nil // embeds itself through a pointer
	}
	inside[t] = true
	defer delete(inside, t)
	var found []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, has := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		index := append(append([]int(nil), above...), i)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			if f.IsExported() || f.Type.Kind() != reflect.Pointer {
				found = append(found, collect(embedded, index, inside)...)
			}
		case f.IsExported():
			tagged := has && name != ""
			if !tagged {
				name = f.Name
			}
			options = "," + options + ","
			found = append(found, field{name, index, f.Type, strings.Contains(options, ",omitempty,"),
				strings.Contains(options, ",omitzero,"), tagged})
		}
	}
	return found
}

// dominant keeps, of fields of one name, the one least deep; of several there, the one with a tag; else none.
func dominant(all []field) []field {
	var kept []field
	for i, f := range all {
		wins := true
		for j, other := range all {
			if i == j || other.name != f.name {
				continue
			}
			if len(other.index) < len(f.index) || len(other.index) == len(f.index) && (other.tagged || !f.tagged) {
				wins = false
				break
			}
		}
		if wins {
			kept = append(kept, f)
		}
	}
	return kept
}

// get is the field's value; false if an embedded pointer on the way is nil.
func (f *field) get(v reflect.Value) (reflect.Value, bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// reach is the field to be set; embedded pointers on the way are made.
func (f *field) reach(v reflect.Value) reflect.Value {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// methods is whether values of a type, or pointers to them, write or read themselves: ours, in JSON, or as text.
type methods struct{ writesItself, pointerWritesItself, pointerReadsItself bool }

var methodsKnown sync.Map // reflect.Type → methods

var (
	writers = []reflect.Type{reflect.TypeFor[msgpackEncoder](), reflect.TypeFor[jsonMarshaler](),
		reflect.TypeFor[encoding.TextMarshaler]()}
	readers = []reflect.Type{reflect.TypeFor[msgpackDecoder](), reflect.TypeFor[jsonUnmarshaler](),
		reflect.TypeFor[encoding.TextUnmarshaler]()}
)

func methodsOf(t reflect.Type) methods {
	if known, ok := methodsKnown.Load(t); ok {
		return known.(methods)
	}
	pointer := reflect.PointerTo(t)
	found := methods{implementsOne(t, writers), implementsOne(pointer, writers), implementsOne(pointer, readers)}
	methodsKnown.Store(t, found)
	return found
}

func implementsOne(t reflect.Type, interfaces []reflect.Type) bool {
	for _, i := range interfaces {
		if t.Implements(i) {
			return true
		}
	}
	return false
}
