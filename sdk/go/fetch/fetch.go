// Package fetch lets net/http work inside an isolet function: its requests go through the capability fetch.
//
//	import _ "isolet/fetch" // http.Get, http.DefaultClient and whatever uses them
//
//	client := &http.Client{Transport: fetch.Transport{}, Timeout: time.Second} // or by hand
//
// It is a package of its own because net/http makes a function some six megabytes larger; isolet.Fetch needs none of it.
//
// Laws:
//   - A request body is read whole before it is sent, an answer's is there whole: there is nothing to stream.
//   - Redirects are net/http's to follow; each of them is a request of its own, that must be granted.
//   - Errors are *isolet.CapabilityError within *url.Error: errors.Is(err, isolet.ErrRefused) finds them.
//   - The whole function waits, all its goroutines. A request ends at its context's deadline; cancelling it does nothing before.
package fetch

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"isolet"
)

// Transport is an http.RoundTripper.
type Transport struct{}

func init() { http.DefaultTransport = Transport{} }

func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	asked, err := translated(request)
	if err != nil {
		return nil, err
	}
	answer, err := isolet.Fetch(asked)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, pair := range answer.Headers {
		header.Add(pair[0], pair[1])
	}
	return &http.Response{
		Status:        strconv.Itoa(answer.Status) + " " + http.StatusText(answer.Status),
		StatusCode:    answer.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(answer.Body)),
		ContentLength: int64(len(answer.Body)),
		Request:       request,
	}, nil
}

func translated(request *http.Request) (isolet.FetchRequest, error) {
	asked := isolet.FetchRequest{URL: request.URL.String(), Method: request.Method, Redirect: "manual"}
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		request.Body.Close()
		if err != nil {
			return asked, err
		}
		if len(body) > 0 {
			asked.Body = body
		}
	}
	for name, values := range request.Header {
		for _, value := range values {
			asked.Headers = append(asked.Headers, [2]string{name, value})
		}
	}
	if err := request.Context().Err(); err != nil {
		return asked, err
	}
	if deadline, ok := request.Context().Deadline(); ok {
		if asked.Timeout = time.Until(deadline); asked.Timeout <= 0 {
			return asked, context.DeadlineExceeded
		}
		// What the invocation's own context says is what the host knows anyhow; it takes no longer one.
		if invocation := isolet.FromContext(request.Context()); invocation != nil && deadline.Equal(invocation.Deadline) {
			asked.Timeout = 0
		}
	}
	return asked, nil
}
