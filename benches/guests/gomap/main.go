// gomap: a map built during initialisation, and an answer that needs it.
package main

import (
	"context"
	"strconv"

	"isolet"
)

const entries = 20_000

var names = map[string]int{}

type event struct {
	Index int `json:"index"`
}

// The value at `name<index>`, and the map's length.
func handle(_ context.Context, e event) (map[string]int, error) {
	return map[string]int{"value": names["name"+strconv.Itoa(e.Index)], "length": len(names)}, nil
}

func init() {
	for i := range entries {
		names["name"+strconv.Itoa(i)] = i * i
	}
	isolet.Handle(handle)
}

func main() {}
