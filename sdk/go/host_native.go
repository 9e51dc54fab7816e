//go:build !wasip1

package isolet

import (
	crypto "crypto/rand"
	"fmt"
	"os"
	"time"
)

// Outside a host a function's package compiles and its tests run: capabilities come from the operating system.

func hostCall(request []byte) ([]byte, int) {
	var call []any
	if err := Unmarshal(request, &call); err != nil || len(call) != 2 {
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

func hostLog(level Level, message string) { fmt.Fprintln(os.Stderr, level, message) }

func reseedAll([]byte) {} // a process of its own has a seed of its own
