//go:build !wasip1

package isolet

import (
	crypto "crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
)

// Outside a host a function's package compiles and its tests run: `sleep` and `random` come from the operating system, and
// the other capabilities from NativeCapability, if a test sets it.

// NativeCapability answers requests in a function's own tests, outside of isolet: a value, or a *CapabilityError.
var NativeCapability func(name string, arguments []any) (any, error)

func hostCall(request []byte) ([]byte, int) {
	var call []any
	if err := Unmarshal(request, &call); err != nil || len(call) == 0 {
		return nil, -1
	}
	if name, _ := call[0].(string); name != "sleep" && name != "random" {
		return nativeCapability(name, call[1:])
	}
	if len(call) != 2 {
		return nil, -1
	}
	switch call[0] {
	case "sleep":
		milliseconds, _ := call[1].(float64)
		time.Sleep(time.Duration(milliseconds * float64(time.Millisecond)))
		return []byte{0xc0}, 0
	case "random":
		count, _ := call[1].(int64)
		bytes := make([]byte, count)
		crypto.Read(bytes)
		packed, _ := Marshal(bytes)
		return packed, 0
	}
	return nil, -2
}

func nativeCapability(name string, arguments []any) ([]byte, int) {
	if NativeCapability == nil {
		return nil, -2
	}
	value, err := NativeCapability(name, arguments)
	result := map[string]any{"ok": value}
	var failed *CapabilityError
	if errors.As(err, &failed) {
		result = map[string]any{"error": map[string]any{"type": failed.Type, "message": failed.Message, "cause": failed.Cause}}
	} else if err != nil {
		return nil, -6
	}
	packed, err := Marshal(result)
	if err != nil {
		return nil, -6
	}
	return packed, 0
}

func hostLog(level Level, message string) { fmt.Fprintln(os.Stderr, level, message) }

func reseedAll([]byte) {} // a process of its own has a seed of its own
