package isolet

import (
	"reflect"
	"strconv"
	"time"
)

// Level is a log line's.
type Level uint32

const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
	LevelFatal
)

// Log writes one line to the invocation's log. What fmt and log print goes there as well, at LevelInfo and LevelError.
func Log(level Level, message string) { hostLog(level, message) }

func Debug(message string) { hostLog(LevelDebug, message) }
func Info(message string)  { hostLog(LevelInfo, message) }
func Warn(message string)  { hostLog(LevelWarn, message) }
func Error(message string) { hostLog(LevelError, message) }

// CallError is a capability request that the host did not serve.
type CallError struct {
	Name   string
	Status int
}

var statuses = map[int]string{
	-1: "malformed request",
	-2: "unknown capability",
	-3: "not granted",
	-4: "refused by a limit",
	-5: "no pending reply",
	-6: "failed on the host's side",
}

func (e *CallError) Error() string {
	text, known := statuses[e.Status]
	if !known {
		text = "status " + strconv.Itoa(e.Status)
	}
	return "isolet: " + e.Name + ": " + text
}

// Call makes a capability request, waits, and decodes the reply into `reply`, a pointer or nil. The whole function waits,
// all its goroutines. Not during initialisation: the host refuses, and cannot freeze the module.
func Call(reply any, name string, arguments ...any) error {
	answer, err := call(name, arguments)
	if err != nil || reply == nil {
		return err
	}
	return Unmarshal(answer, reply)
}

func call(name string, arguments []any) ([]byte, error) {
	e := encoder{}
	e.array(1 + len(arguments))
	e.string(name)
	for _, argument := range arguments {
		if err := e.any(argument); err != nil {
			return nil, err
		}
	}
	answer, status := hostCall(e.bytes)
	if status < 0 {
		return nil, &CallError{name, status}
	}
	return answer, nil
}

// Sleep waits as time.Sleep does, but all goroutines with it.
func Sleep(duration time.Duration) error {
	return Call(nil, "sleep", float64(duration)/float64(time.Millisecond))
}

// Random answers n fresh random bytes, fit for keys; at most 65,536. crypto/rand is as good.
func Random(n int) ([]byte, error) {
	var bytes []byte
	err := Call(&bytes, "random", n)
	return bytes, err
}

// prepare learns the structs that a type is made of, so that no invocation has to.
func prepare(t reflect.Type) { prepareOnce(t, map[reflect.Type]bool{}) }

func prepareOnce(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	methodsOf(t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		prepareOnce(t.Elem(), seen)
	case reflect.Struct:
		for _, field := range fieldsOf(t).list {
			prepareOnce(field.kind, seen)
		}
	}
}
