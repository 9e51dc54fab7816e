package isolet

import (
	"iter"
	"strconv"
	"time"
)

// What capabilities fail with, for errors.Is: errors.Is(err, isolet.ErrConflict). The words are abi.md's; the error itself
// is a *CapabilityError, and says more.
var (
	ErrNotGranted       error = failureType("NotGranted") // the message says which line of function.toml grants it
	ErrInvalid          error = failureType("Invalid")
	ErrTooLarge         error = failureType("TooLarge")
	ErrLimitExceeded    error = failureType("LimitExceeded")
	ErrConflict         error = failureType("Conflict")
	ErrRefused          error = failureType("Refused")
	ErrTimeout          error = failureType("Timeout")
	ErrConnectionFailed error = failureType("ConnectionFailed")
	ErrTooManyRedirects error = failureType("TooManyRedirects")
	ErrUnknownFunction  error = failureType("UnknownFunction")
	ErrThrottled        error = failureType("Throttled")
	ErrTooDeep          error = failureType("TooDeep")
	ErrFunction         error = failureType("FunctionError") // its *FunctionFailure is the cause
	ErrUnknownSecret    error = failureType("UnknownSecret")
)

type failureType string

func (t failureType) Error() string { return "isolet: " + string(t) }

// CapabilityError is a request that a capability refused or could not serve.
type CapabilityError struct {
	Request string // "kv.put"
	Type    string // one of abi.md's words, also such as this package does not know
	Message string // one line, for people
	Cause   *FunctionFailure
}

func (e *CapabilityError) Error() string {
	return "isolet: " + e.Request + ": " + e.Type + ": " + e.Message
}

func (e *CapabilityError) Is(target error) bool {
	wanted, ok := target.(failureType)
	return ok && string(wanted) == e.Type
}

func (e *CapabilityError) Unwrap() error {
	if e.Cause == nil {
		return nil
	}
	return e.Cause
}

// Timeout makes it a net.Error's half: what asks errors whether they are timeouts finds it.
func (e *CapabilityError) Timeout() bool { return e.Type == "Timeout" }

// FunctionFailure is what an invoked function failed with, in its own words.
type FunctionFailure struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func (f *FunctionFailure) Error() string { return f.Type + ": " + f.Message }

// Ask makes a request whose reply is a result (abi.md 5.1) and decodes it into `ok`, a pointer or nil. For capabilities that
// have no function here. The whole function waits, all its goroutines.
func Ask(ok any, name string, arguments ...any) error {
	answer, err := call(name, arguments)
	if err != nil {
		return err
	}
	d := decoder{data: answer}
	pairs, err := d.mapHead()
	if err != nil {
		return err
	}
	if pairs != 1 {
		return &MalformedError{"a result of " + strconv.Itoa(pairs) + " entries"}
	}
	key, err := d.key()
	if err != nil {
		return err
	}
	value := answer[d.at:]
	switch key {
	case "ok":
		if ok == nil {
			ok = new(any)
		}
		return Unmarshal(value, ok)
	case "error":
		var failed struct {
			Type    string           `json:"type"`
			Message string           `json:"message"`
			Cause   *FunctionFailure `json:"cause"`
		}
		if err := Unmarshal(value, &failed); err != nil {
			return err
		}
		if failed.Type == "" {
			return &MalformedError{"an error without a type"}
		}
		return &CapabilityError{name, failed.Type, failed.Message, failed.Cause}
	}
	return &MalformedError{"a result that is " + key}
}

func misfit(name string) error { return &MalformedError{"the reply to " + name + " is another's"} }

// ── kv ──

// Namespace is a part of the store that outlives invocations. Functions that are granted the same one share its entries.
type Namespace struct{ name string }

func KV(namespace string) Namespace { return Namespace{namespace} }

// Entry is what is in the store under a key. Version is 0, and Value nil, if nothing is: as IfVersion has it.
type Entry struct {
	Value   []byte
	Version int64
}

// Found says whether there was an entry.
func (e Entry) Found() bool { return e.Version > 0 }

// Option narrows a request: TTL for Put; IfVersion for Put and Delete; After and Limit for List. Elsewhere it is an error.
type Option func(options map[string]any)

// TTL lets the entry go after a while.
func TTL(duration time.Duration) Option {
	return func(options map[string]any) { options["ttl_s"] = duration.Seconds() }
}

// IfVersion writes only if the entry is at this version; 0: only if there is none. Else ErrConflict.
func IfVersion(version int64) Option {
	return func(options map[string]any) { options["if_version"] = version }
}

// After lists the keys behind this one only.
func After(key string) Option { return func(options map[string]any) { options["after"] = key } }

// Limit lists so many keys at most, 1 to 1,000; without it, 100.
func Limit(keys int) Option { return func(options map[string]any) { options["limit"] = keys } }

func (n Namespace) ask(ok any, name string, options []Option, arguments ...any) error {
	arguments = append([]any{n.name}, arguments...)
	if len(options) > 0 {
		chosen := map[string]any{}
		for _, option := range options {
			option(chosen)
		}
		arguments = append(arguments, chosen)
	}
	return Ask(ok, name, arguments...)
}

// Get answers the entry of a key; one whose Version is 0 if there is none.
func (n Namespace) Get(key string) (Entry, error) {
	var found *struct {
		Value   []byte `json:"value"`
		Version int64  `json:"version"`
	}
	if err := n.ask(&found, "kv.get", nil, key); err != nil || found == nil {
		return Entry{}, err
	}
	if found.Value == nil || found.Version <= 0 {
		return Entry{}, misfit("kv.get")
	}
	return Entry{found.Value, found.Version}, nil
}

// Put writes an entry, with TTL and IfVersion if given, and answers its new version.
func (n Namespace) Put(key string, value []byte, options ...Option) (int64, error) {
	if value == nil {
		value = []byte{}
	}
	var written struct {
		Version int64 `json:"version"`
	}
	if err := n.ask(&written, "kv.put", options, key, value); err != nil {
		return 0, err
	}
	if written.Version <= 0 {
		return 0, misfit("kv.put")
	}
	return written.Version, nil
}

// Delete answers whether there was an entry. It takes IfVersion.
func (n Namespace) Delete(key string, options ...Option) (bool, error) {
	var existed *bool
	if err := n.ask(&existed, "kv.delete", options, key); err != nil {
		return false, err
	}
	if existed == nil {
		return false, misfit("kv.delete")
	}
	return *existed, nil
}

// List answers keys that begin with prefix, in order, and whether there are more behind the last. It takes After and Limit.
func (n Namespace) List(prefix string, options ...Option) (keys []string, more bool, err error) {
	var page struct {
		Keys []string `json:"keys"`
		More bool     `json:"more"`
	}
	if err := n.ask(&page, "kv.list", options, prefix); err != nil {
		return nil, false, err
	}
	if page.Keys == nil {
		return nil, false, misfit("kv.list")
	}
	return page.Keys, page.More, nil
}

// Keys walks all keys that begin with prefix, in order, a request for every thousand. It ends at the first error.
func (n Namespace) Keys(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for options := []Option{Limit(1000)}; ; {
			keys, more, err := n.List(prefix, options...)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
			if !more || len(keys) == 0 {
				return
			}
			options = []Option{Limit(1000), After(keys[len(keys)-1])}
		}
	}
}

// ── fetch ──

// FetchRequest is an HTTP request to the outside. Only URL must be there. For net/http there is package isolet/fetch.
type FetchRequest struct {
	URL      string
	Method   string        // "": GET
	Headers  [][2]string   // name, value
	Body     []byte        // nil: none
	Timeout  time.Duration // 0: what is left of the invocation
	Redirect string        // "follow" ("", too), "manual", "error"
}

// FetchResponse is the answer; any status is one, 404 and 500, too.
type FetchResponse struct {
	Status  int         `json:"status"`
	URL     string      `json:"url"` // where it came from
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// Header is the first one of this name, in any case; "" if there is none.
func (r *FetchResponse) Header(name string) string {
	for _, header := range r.Headers {
		if equalFold(header[0], name) {
			return header[1]
		}
	}
	return ""
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x |= 0x20
		}
		if y >= 'A' && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}

// Fetch makes an HTTP request.
func Fetch(request FetchRequest) (*FetchResponse, error) {
	asked := map[string]any{"url": request.URL}
	if request.Method != "" {
		asked["method"] = request.Method
	}
	if len(request.Headers) > 0 {
		asked["headers"] = request.Headers
	}
	if request.Body != nil {
		asked["body"] = request.Body
	}
	if request.Timeout > 0 {
		asked["timeout_ms"] = float64(request.Timeout) / float64(time.Millisecond)
	}
	if request.Redirect != "" {
		asked["redirect"] = request.Redirect
	}
	var response FetchResponse
	if err := Ask(&response, "fetch", asked); err != nil {
		return nil, err
	}
	if response.Status == 0 || response.Body == nil {
		return nil, misfit("fetch")
	}
	return &response, nil
}

// ── invoke, secrets ──

// Invoke runs another function with payload as its event and decodes what it answers into result, a pointer or nil. A
// function that fails is ErrFunction; errors.As finds its *FunctionFailure.
func Invoke(function string, payload, result any) error {
	return Ask(result, "invoke", function, payload)
}

// Secret is a value that the operator keeps, text or bytes. It is read anew by each call: keep it if you need it often.
func Secret(name string) (string, error) {
	var value any
	if err := Ask(&value, "secrets.get", name); err != nil {
		return "", err
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case []byte:
		return string(value), nil
	}
	return "", misfit("secrets.get")
}
