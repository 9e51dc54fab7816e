// Package isolet writes isolet functions in Go (guest ABI version 1, ../abi.md).
//
//	package main
//
//	import (
//		"context"
//		"isolet"
//	)
//
//	type Event struct {
//		Name string `json:"name"`
//	}
//
//	func handle(ctx context.Context, event Event) (string, error) {
//		return "hello, " + event.Name, nil
//	}
//
//	func init() { isolet.Handle(handle) }
//	func main() {}
//
// A handler is named in init, not in main: package initialisation runs once, at deployment, and is then frozen; main never
// runs. What init and package variables build, every invocation finds built, and nothing that an invocation changes is seen
// by another one.
//
// Laws:
//   - Events and results are msgpack, by reflection and with the meaning that encoding/json gives to types and `json` tags,
//     so that structs written for AWS Lambda work. Integers decoded into `any` are int64, not float64.
//   - []byte is binary, without base64 on the way; in an answer that must be JSON the host encodes it.
//   - An error that the handler returns becomes {type: the error's type, message: Error()}; a panic the same, with its stack.
//   - math/rand, math/rand/v2 and the runtime's own randomness are seeded anew in every invocation. Generators that you made
//     with a seed of your own during initialisation are not: they are frozen like everything else.
package isolet

import (
	"context"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// The handler with its types taken away: decodes its event, answers its result.
var handler func(context.Context, *decoder) (any, error)

// Handle names the function's handler. Call it once, from an init function.
func Handle[E, R any](handle func(context.Context, E) (R, error)) {
	if handler != nil {
		panic("isolet: Handle was called twice; a function has one handler")
	}
	// What reflection learns of these types is learnt now, and in the snapshot.
	prepare(reflect.TypeFor[E]())
	prepare(reflect.TypeFor[R]())
	handler = func(ctx context.Context, source *decoder) (any, error) {
		var event E
		if err := source.into(reflect.ValueOf(&event).Elem()); err != nil {
			return nil, err
		}
		return handle(ctx, event)
	}
}

// outcome runs the handler on an envelope and packs what became of it.
func outcome(envelope []byte) []byte {
	result, failure := attempt(envelope)
	if failure == nil {
		e := encoder{bytes: append(make([]byte, 0, 512), "\x81\xa2ok"...)}
		err := e.any(result)
		if err == nil {
			return e.bytes
		}
		failure = describe(err, nil)
	}
	e := encoder{bytes: append(make([]byte, 0, 512), "\x81\xa5error\x83"...)}
	e.string("type")
	e.string(failure.kind)
	e.string("message")
	e.string(failure.message)
	e.string("stack")
	e.array(len(failure.stack))
	for _, line := range failure.stack {
		e.string(line)
	}
	return e.bytes
}

type failure struct {
	kind, message string
	stack         []string
}

func attempt(envelope []byte) (result any, failed *failure) {
	defer func() {
		if value := recover(); value != nil {
			failed = describe(value, stack())
		}
	}()
	event, invocation, err := open(envelope)
	if err != nil {
		return nil, describe(err, nil)
	}
	reseedAll(invocation.entropy)
	if handler == nil {
		return nil, &failure{"HandlerMissing", "no handler: call isolet.Handle in an init function", nil}
	}
	result, err = handler(&invocationContext{context.Background(), invocation}, &decoder{data: event, hosts: true})
	if err != nil {
		return nil, describe(err, nil)
	}
	return result, nil
}

// describe names an error as AWS Lambda does: by its type, without package and pointer.
func describe(value any, stack []string) *failure {
	kind, message := "Panic", ""
	switch v := value.(type) {
	case *CapabilityError:
		kind, message = v.Type, v.Error()
	case error:
		kind, message = reflect.TypeOf(v).String(), v.Error()
		kind = kind[strings.LastIndexAny(kind, ".*")+1:]
	case string:
		message = v
	case interface{ String() string }:
		message = v.String()
	default:
		message = reflect.TypeOf(v).String()
		if packed, err := Marshal(v); err == nil {
			text, _ := (&decoder{data: packed}).json(nil)
			message += " " + string(text)
		}
	}
	return &failure{kind, message, stack}
}

// stack is the panicking goroutine's, innermost first, from the panic to the handler.
func stack() []string {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(0, counters[:])])
	var lines []string
	panicked := false
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "isolet.Handle["):
			return lines
		case frame.Function == "runtime.gopanic":
			panicked = true
		case panicked && !strings.HasPrefix(frame.Function, "runtime."):
			lines = append(lines, frame.Function+" ("+frame.File+":"+strconv.Itoa(frame.Line)+")")
		}
		if !more {
			return lines
		}
	}
}
