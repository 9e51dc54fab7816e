// counter: adds By to the counter Name and answers its new value. Others may write it, too: the value goes back only if nobody
// did since it was read, or else it is read again.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"isolet"
)

const (
	attempts     = 16
	nameCharsMax = 64
)

// Event has fields of any type, so that what does not fit is refused in our own words.
type Event struct {
	Name any `json:"name"`
	By   any `json:"by"`
}

type Counter struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// The errors that callers see: a type is their `errorType`.
type (
	InvalidEvent string
	NotACounter  string
	Contended    string
)

func (e InvalidEvent) Error() string { return string(e) }
func (e NotACounter) Error() string  { return string(e) + " holds no number" }
func (e Contended) Error() string {
	return fmt.Sprintf("%s: %d attempts, and another writer was first each time", string(e), attempts)
}

func handle(ctx context.Context, event Event) (Counter, error) {
	name, _ := event.Name.(string)
	if name == "" || len(name) > nameCharsMax {
		return Counter{}, InvalidEvent("`name` must be a string of 1 to 64 characters")
	}
	by, whole := event.By.(int64)
	if event.By == nil {
		by, whole = 1, true
	}
	if !whole {
		return Counter{}, InvalidEvent("`by` must be an integer")
	}
	counters := isolet.KV("counters")
	for range attempts {
		value, err := add(counters, name, by)
		if errors.Is(err, isolet.ErrConflict) {
			continue
		}
		return Counter{name, value}, err
	}
	return Counter{}, Contended(name)
}

func add(counters isolet.Namespace, name string, by int64) (int64, error) {
	entry, err := counters.Get(name)
	if err != nil {
		return 0, err
	}
	var value int64
	if entry.Found() {
		if value, err = strconv.ParseInt(string(entry.Value), 10, 64); err != nil {
			return 0, NotACounter(name)
		}
	}
	value += by
	_, err = counters.Put(name, strconv.AppendInt(nil, value, 10), isolet.IfVersion(entry.Version))
	return value, err
}

func init() { isolet.Handle(handle) }
func main() {}
