// wordcount: counts the words of a text; answers how many there are, how many distinct ones, and the most frequent.
package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"isolet"
)

const (
	topDefault = 10
	topMax     = 1000
)

// Event has fields of any type, so that what does not fit is refused in our own words.
type Event struct {
	Text any `json:"text"`
	Top  any `json:"top"`
}

type Word struct {
	Word  string `json:"word"`
	Count int    `json:"count"`
}

type Result struct {
	Words    int    `json:"words"`
	Distinct int    `json:"distinct"`
	Top      []Word `json:"top"`
}

type InvalidEvent string

func (e InvalidEvent) Error() string { return string(e) }

func between(c rune) bool {
	return c < 0x80 && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
}

func small(c rune) rune {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func handle(ctx context.Context, event Event) (Result, error) {
	text, ok := event.Text.(string)
	if !ok {
		return Result{}, InvalidEvent("`text` must be a string")
	}
	top, ok := event.Top.(int64)
	if event.Top == nil {
		top, ok = topDefault, true
	}
	if !ok || top < 1 || top > topMax {
		return Result{}, InvalidEvent("`top` must be an integer from 1 to 1000")
	}
	words := strings.FieldsFunc(strings.Map(small, text), between)
	counts := map[string]int{}
	for _, word := range words {
		counts[word]++
	}
	list := make([]Word, 0, len(counts))
	for word, count := range counts {
		list = append(list, Word{word, count})
	}
	slices.SortFunc(list, func(a, b Word) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Word, b.Word))
	})
	return Result{len(words), len(list), list[:min(len(list), int(top))]}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
