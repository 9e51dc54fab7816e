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
	"unicode/utf8"

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
	Call    []any   `json:"call"`
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
	case "ask":
		return ask(e.Call), nil
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

// ask makes the request of call, an array as abi.md 5 has it, by the function of the SDK that is for it. Answers a result, too.
func ask(call []any) any {
	ok, err := asked(call)
	if err == nil {
		return map[string]any{"ok": ok}
	}
	failed := map[string]any{"type": "Error", "message": err.Error(), "cause": nil}
	var capability *isolet.CapabilityError
	if errors.As(err, &capability) {
		failed["type"], failed["message"] = capability.Type, capability.Message
		var cause *isolet.FunctionFailure
		if errors.As(err, &cause) {
			failed["cause"] = cause
		}
		known := []error{
			isolet.ErrNotGranted, isolet.ErrInvalid, isolet.ErrTooLarge, isolet.ErrLimitExceeded, isolet.ErrConflict,
			isolet.ErrRefused, isolet.ErrTimeout, isolet.ErrConnectionFailed, isolet.ErrTooManyRedirects,
			isolet.ErrUnknownFunction, isolet.ErrThrottled, isolet.ErrTooDeep, isolet.ErrFunction, isolet.ErrUnknownSecret,
		}
		matched := 0
		for _, each := range known {
			if errors.Is(fmt.Errorf("wrapped: %w", err), each) {
				matched++
			}
		}
		if matched != 1 && capability.Type != "Later" {
			failed["type"] = fmt.Sprintf("%s matches %d known errors", capability.Type, matched)
		}
	}
	return map[string]any{"error": failed}
}

func options(call []any, at int) []isolet.Option {
	if len(call) <= at || call[at] == nil {
		return nil
	}
	var chosen []isolet.Option
	for name, value := range call[at].(map[string]any) {
		switch name {
		case "if_version":
			chosen = append(chosen, isolet.IfVersion(value.(int64)))
		case "ttl_s":
			seconds, whole := value.(int64)
			if !whole {
				chosen = append(chosen, isolet.TTL(time.Duration(value.(float64)*float64(time.Second))))
			} else {
				chosen = append(chosen, isolet.TTL(time.Duration(seconds)*time.Second))
			}
		case "after":
			chosen = append(chosen, isolet.After(value.(string)))
		case "limit":
			chosen = append(chosen, isolet.Limit(int(value.(int64))))
		}
	}
	return chosen
}

func asked(call []any) (any, error) {
	first := func() isolet.Namespace { return isolet.KV(call[1].(string)) }
	switch call[0] {
	case "kv.get":
		entry, err := first().Get(call[2].(string))
		if !entry.Found() {
			return nil, err
		}
		return map[string]any{"value": entry.Value, "version": entry.Version}, err
	case "kv.put":
		version, err := first().Put(call[2].(string), call[3].([]byte), options(call, 4)...)
		return map[string]any{"version": version}, err
	case "kv.delete":
		return first().Delete(call[2].(string), options(call, 3)...)
	case "kv.list":
		keys, more, err := first().List(call[2].(string), options(call, 3)...)
		return map[string]any{"keys": keys, "more": more}, err
	case "fetch":
		return fetched(call[1].(map[string]any))
	case "invoke":
		var result any
		err := isolet.Invoke(call[1].(string), call[2], &result)
		return result, err
	case "secrets.get":
		secret, err := isolet.Secret(call[1].(string))
		if !utf8.ValidString(secret) {
			return []byte(secret), err
		}
		return secret, err
	}
	return nil, errors.New("no function for it")
}

func fetched(given map[string]any) (any, error) {
	request := isolet.FetchRequest{URL: given["url"].(string)}
	request.Method, _ = given["method"].(string)
	request.Redirect, _ = given["redirect"].(string)
	request.Body, _ = given["body"].([]byte)
	milliseconds, _ := given["timeout_ms"].(int64)
	request.Timeout = time.Duration(milliseconds) * time.Millisecond
	headers, _ := given["headers"].([]any)
	for _, header := range headers {
		pair := header.([]any)
		request.Headers = append(request.Headers, [2]string{pair[0].(string), pair[1].(string)})
	}
	response, err := isolet.Fetch(request)
	if err != nil {
		return nil, err
	}
	headers = []any{}
	for _, pair := range response.Headers {
		headers = append(headers, pair[:])
	}
	return map[string]any{"status": response.Status, "url": response.URL, "headers": headers, "body": response.Body}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
