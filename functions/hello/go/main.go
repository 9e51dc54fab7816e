// hello: answers every event, HTTP request or not, with the same text.
package main

import (
	"context"

	"isolet"
)

func handle(ctx context.Context, event any) (isolet.HTTPResponse, error) {
	return isolet.HTTPResponse{
		StatusCode: 200,
		Headers:    map[string]string{"content-type": "text/plain; charset=utf-8"},
		Body:       "hello\n",
	}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
