// What the SDK's tests drive: an event with `op` exercises one part of package isolet, any other is answered with what was
// seen.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"time"

	"isolet"
)

type event struct {
	Op            string             `json:"op"`
	Data          []byte             `json:"data"`
	Request       isolet.HTTPRequest `json:"request"`
	Header        []string           `json:"header"`
	Query         []string           `json:"query"`
	PathParameter []string           `json:"path_parameter"`
	Cookie        []string           `json:"cookie"`
	Form          []string           `json:"form"`
	Response      struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Cookies []string          `json:"cookies"`
		Body    any               `json:"body"`
	} `json:"response"`
	SleepMs float64 `json:"sleep_ms"`
	Value   any     `json:"value"`
	Typed   typed   `json:"typed"`
}

// Every way that a struct may say how it looks.
type typed struct {
	embedded
	*Pointed
	Renamed   int               `json:"renamed"`
	Skipped   int               `json:"-"`
	Empty     string            `json:"empty,omitempty"`
	Zero      time.Time         `json:"zero,omitzero"`
	When      time.Time         `json:"when"`
	Raw       json.RawMessage   `json:"raw"`
	Numbers   []uint8           `json:"numbers"`
	Three     [3]int            `json:"three"`
	ByNumber  map[int]string    `json:"byNumber"`
	Optional  *int              `json:"optional"`
	Pointer   *string           `json:"pointer"`
	Float     float32           `json:"float"`
	Small     int8              `json:"small"`
	Unsigned  uint64            `json:"unsigned"`
	Anything  any               `json:"anything"`
	Labels    map[string]string `json:"labels"`
	hidden    int
	Untagged  bool
	Conflict  string `json:"conflict"`
	Innermost struct {
		Deep []struct{ X int } `json:"deep"`
	} `json:"innermost"`
}

type embedded struct {
	Inherited string `json:"inherited"`
	Conflict  string `json:"conflict"`
}

type Pointed struct {
	FromPointer string `json:"fromPointer,omitempty"`
}

type tooSmall struct{ n int }

func (e *tooSmall) Error() string { return fmt.Sprintf("%d is too small\nby far", e.n) }

var frozen = randv2.Int64()

func handle(ctx context.Context, raw any) (any, error) {
	object, _ := raw.(map[string]any)
	if object["op"] == nil {
		return seen(ctx, raw), nil
	}
	var e event
	packed, err := isolet.Marshal(raw)
	if err != nil {
		return nil, err
	}
	if err := isolet.Unmarshal(packed, &e); err != nil {
		return nil, err
	}
	return perform(ctx, e)
}

func seen(ctx context.Context, raw any) any {
	i := isolet.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	var trace, client any
	if i.TraceID != "" {
		trace = i.TraceID
	}
	if i.ClientContext != nil {
		client = i.ClientContext
	}
	return map[string]any{"event": raw, "context": map[string]any{
		"function_name": i.FunctionName, "function_version": i.FunctionVersion, "function_arn": i.FunctionARN,
		"memory_limit_mb": i.MemoryLimitMB, "log_group": i.LogGroup, "log_stream": i.LogStream, "request_id": i.RequestID,
		"deadline_ms": deadline.UnixMilli(), "trace_id": trace, "client_context": client,
	}}
}

func perform(ctx context.Context, e event) (any, error) {
	switch e.Op {
	case "recode":
		var value any
		if err := isolet.Unmarshal(e.Data, &value); err != nil {
			return nil, err
		}
		return isolet.Marshal(value)
	case "read anyway":
		var into struct {
			A    string
			List []event
			Map  map[string]typed
		}
		return isolet.Unmarshal(e.Data, &into) != nil, nil
	case "typed":
		return e.Typed, nil
	case "http":
		return readHTTP(e), nil
	case "respond":
		return respond(e), nil
	case "capabilities":
		return capabilities(e)
	case "log":
		isolet.Warn("plain")
		isolet.Error(fmt.Sprintf("%d and %s", 7, "text"))
		isolet.Info(fmt.Sprintf("%02000d", 1))
		fmt.Println("printed")
		return nil, nil
	case "nothing":
		return nil, nil
	case "fail":
		return "dropped", &tooSmall{7}
	case "wrapped":
		return nil, fmt.Errorf("outside: %w", errors.New("inside"))
	case "panic":
		panic("no way on")
	case "panic with error":
		var list []int
		return list[len(e.Op)], nil
	case "unencodable":
		return func() {}, nil
	case "cycle":
		m := map[string]any{}
		m["m"] = m
		return m, nil
	case "not text":
		return "a\xffb", nil
	case "draw":
		return []int64{frozen, randv2.Int64(), rand.Int63(), int64(randv2.Perm(1000)[0])}, nil
	case "sleep in a goroutine":
		done := make(chan string)
		go func() { time.Sleep(5 * time.Millisecond); done <- "slept" }()
		return <-done, nil
	}
	return nil, errors.New("unknown op " + e.Op)
}

func readHTTP(e event) any {
	read := func(names []string, by func(string) string) map[string]string {
		found := map[string]string{}
		for _, name := range names {
			found[name] = by(name)
		}
		return found
	}
	r := &e.Request
	return map[string]any{
		"method": r.Method(), "path": r.Path(), "body": []byte(r.Body),
		"header": read(e.Header, r.Header), "query": read(e.Query, r.Query), "cookie": read(e.Cookie, r.Cookie),
		"path_parameter": read(e.PathParameter, r.PathParameter), "form": read(e.Form, r.Form),
	}
}

func respond(e event) isolet.HTTPResponse {
	given := e.Response
	response := isolet.HTTPResponse{StatusCode: given.Status, Headers: given.Headers, Cookies: given.Cookies}
	switch body := given.Body.(type) {
	case string:
		response.Body = body
	case []byte:
		response.Bytes = body
	}
	return response
}

func capabilities(e event) (any, error) {
	if err := isolet.Sleep(time.Duration(e.SleepMs * float64(time.Millisecond))); err != nil {
		return nil, err
	}
	bytes, err := isolet.Random(300)
	if err != nil {
		return nil, err
	}
	var unknown *isolet.CallError
	if !errors.As(isolet.Call(nil, "none such"), &unknown) {
		return nil, errors.New("an unknown capability was served")
	}
	return []any{0, 0, bytes, unknown.Status}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
