// A function's own tests run outside of isolet, where NativeCapability is what they say it is.
package main

import (
	"errors"
	"testing"

	"isolet"
)

func TestCapabilitiesAreTheTests(t *testing.T) {
	isolet.NativeCapability = func(name string, arguments []any) (any, error) {
		if name == "kv.get" && arguments[0] == "counters" {
			return map[string]any{"value": []byte("7"), "version": 3}, nil
		}
		return nil, &isolet.CapabilityError{Type: "Conflict", Message: "another was first"}
	}
	entry, err := isolet.KV("counters").Get("visits")
	if err != nil || string(entry.Value) != "7" || entry.Version != 3 {
		t.Fatal(entry, err)
	}
	if _, err := isolet.KV("counters").Put("visits", nil); !errors.Is(err, isolet.ErrConflict) {
		t.Fatal(err)
	}
	isolet.NativeCapability = nil
	var status *isolet.CallError
	if _, err := isolet.Secret("KEY"); !errors.As(err, &status) {
		t.Fatal(err)
	}
}
