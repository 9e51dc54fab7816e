// net/http over the capability fetch, as a function would use it.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"isolet"
	_ "isolet/fetch"
)

type event struct {
	Method    string `json:"method"`
	URL       string `json:"url"`
	Body      string `json:"body"`
	TimeoutMs int    `json:"timeout_ms"`
	Cancelled bool   `json:"cancelled"`
}

type answer struct {
	Status  int         `json:"status"`
	URL     string      `json:"url"`
	Headers http.Header `json:"headers"`
	Body    string      `json:"body"`
}

func handle(ctx context.Context, e event) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if e.Cancelled {
		cancel()
	}
	request, err := http.NewRequestWithContext(ctx, e.Method, e.URL, strings.NewReader(e.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-A", "1")
	client := &http.Client{Timeout: time.Duration(e.TimeoutMs) * time.Millisecond}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, isolet.ErrRefused):
		return "refused", nil
	case errors.Is(err, context.Canceled):
		return "cancelled", nil
	case err != nil:
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Request.URL.String(), response.Header, string(body)}, err
}

func init() { isolet.Handle(handle) }
func main() {}
