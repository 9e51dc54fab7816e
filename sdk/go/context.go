package isolet

import (
	"context"
	"time"
)

// Invocation is what the host says of this invocation (abi.md 2.1).
type Invocation struct {
	RequestID       string
	FunctionName    string
	FunctionVersion string
	FunctionARN     string
	MemoryLimitMB   int
	LogGroup        string
	LogStream       string
	// The instant at which the invocation is stopped; also the handler's context's deadline.
	Deadline time.Time
	// The caller's X-Amzn-Trace-Id, if any.
	TraceID string
	// The caller's X-Amz-Client-Context, if any.
	ClientContext map[string]any

	entropy []byte
}

type invocationKey struct{}

// invocationContext is the context that handlers get. It is never done: the host stops the function at its deadline, and
// there is no one left to be told.
type invocationContext struct {
	context.Context
	invocation *Invocation
}

func (c *invocationContext) Deadline() (time.Time, bool) { return c.invocation.Deadline, true }

func (c *invocationContext) Value(key any) any {
	if key == (invocationKey{}) {
		return c.invocation
	}
	return c.Context.Value(key)
}

// FromContext is the invocation that a handler's context, or one derived from it, belongs to; nil if it is none.
func FromContext(ctx context.Context) *Invocation {
	invocation, _ := ctx.Value(invocationKey{}).(*Invocation)
	return invocation
}

// open takes an envelope apart: the event, still encoded, and the context.
func open(envelope []byte) (event []byte, invocation *Invocation, err error) {
	d := &decoder{data: envelope, hosts: true}
	pairs, err := d.mapHead()
	if err != nil {
		return nil, nil, err
	}
	for ; pairs > 0; pairs-- {
		key, err := d.key()
		if err != nil {
			return nil, nil, err
		}
		start := d.at
		if key == "context" {
			if invocation, err = d.invocation(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err := d.skip(); err != nil {
			return nil, nil, err
		}
		if key == "event" {
			event = envelope[start:d.at]
		}
	}
	if d.at != len(envelope) || event == nil || invocation == nil {
		return nil, nil, &MalformedError{"the envelope is not a map of `event` and `context`"}
	}
	return event, invocation, nil
}

func (d *decoder) invocation() (*Invocation, error) {
	pairs, err := d.mapHead()
	if err != nil {
		return nil, err
	}
	i := &Invocation{}
	for ; pairs > 0; pairs-- {
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		value, err := d.any()
		if err != nil {
			return nil, err
		}
		switch key {
		case "request_id":
			i.RequestID, _ = value.(string)
		case "function_name":
			i.FunctionName, _ = value.(string)
		case "function_version":
			i.FunctionVersion, _ = value.(string)
		case "function_arn":
			i.FunctionARN, _ = value.(string)
		case "memory_limit_mb":
			number, _ := value.(int64)
			i.MemoryLimitMB = int(number)
		case "log_group":
			i.LogGroup, _ = value.(string)
		case "log_stream":
			i.LogStream, _ = value.(string)
		case "deadline_ms":
			number, _ := value.(int64)
			i.Deadline = time.UnixMilli(number)
		case "entropy":
			i.entropy, _ = value.([]byte)
		case "trace_id":
			i.TraceID, _ = value.(string)
		case "client_context":
			i.ClientContext, _ = value.(map[string]any)
		}
	}
	return i, nil
}
