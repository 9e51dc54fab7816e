package main

import (
	"context"

	"isolet"
)

// Event is an HTTP request, or a plain event with a name.
type Event struct {
	isolet.HTTPRequest
	Name string `json:"name"`
}

type Greeting struct {
	Hello     string `json:"hello"`
	Greetings int    `json:"greetings"`
}

// Package variables and init run once, at deployment: every invocation finds them so.
var greetings = 1

func handle(ctx context.Context, event Event) (Greeting, error) {
	name := event.Name
	if event.Method() != "" {
		name = event.Query("name")
	}
	if name == "" {
		name = "world"
	}
	isolet.Info("greeting " + name + " for " + isolet.FromContext(ctx).RequestID)
	defer func() { greetings++ }()
	return Greeting{name, greetings}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
