// thumbnail makes a photograph smaller.
//
// Over HTTP: POST the image; the query says how large (`width`, `height`: the box to fit in, default 320 wide), in which
// `format` (jpeg, png; default as it came) and at which `quality` (1 to 100, JPEG only, default 85). As a plain event: the same
// names, and the image as base64 (or binary) in `image`.
//
// The image is turned as its EXIF orientation says, never enlarged, and resampled with a Lanczos kernel (resize.go).
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"strconv"

	"isolet"
)

const (
	widthDefault   = 320
	sideMax        = 4096
	qualityDefault = 85
	// What fits in memory_mb beside its decoded form: a bomb of a few kilobytes may claim billions.
	pixelsMax = 50_000_000
)

// Event is an HTTP request, or the same wishes without one.
type Event struct {
	isolet.HTTPRequest
	Image   []byte `json:"image"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Quality int    `json:"quality"`
	Format  string `json:"format"`
}

// Thumbnail is the answer to a plain event.
type Thumbnail struct {
	Image       []byte `json:"image"`
	ContentType string `json:"contentType"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	From        Size   `json:"from"`
}

type Size struct {
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Format string `json:"format"`
	Bytes  int    `json:"bytes"`
}

// Refused is a request that cannot be served; status is what HTTP says of it.
type Refused struct {
	status int
	reason string
}

func (r *Refused) Error() string { return r.reason }

func handle(_ context.Context, event Event) (any, error) {
	if event.Method() == "" {
		return thumbnail(event)
	}
	made, err := overHTTP(event)
	var refused *Refused
	if errors.As(err, &refused) {
		headers := map[string]string{"content-type": "text/plain; charset=utf-8"}
		if refused.status == 405 {
			headers["allow"] = "POST"
		}
		return isolet.HTTPResponse{StatusCode: refused.status, Headers: headers, Body: refused.reason + "\n"}, nil
	}
	if err != nil {
		return nil, err
	}
	return isolet.HTTPResponse{StatusCode: 200, Bytes: made.Image, Headers: map[string]string{
		"content-type":     made.ContentType,
		"x-original-size":  fmt.Sprintf("%dx%d", made.From.Width, made.From.Height),
		"x-thumbnail-size": fmt.Sprintf("%dx%d", made.Width, made.Height),
	}}, nil
}

func overHTTP(event Event) (*Thumbnail, error) {
	if event.Method() != "POST" {
		return nil, &Refused{405, "POST an image here"}
	}
	event.Image, event.Format = event.Body, event.Query("format")
	for name, wish := range map[string]*int{"width": &event.Width, "height": &event.Height, "quality": &event.Quality} {
		text := event.Query(name)
		if text == "" {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return nil, &Refused{400, name + " must be a whole number from 1 on, was " + strconv.Quote(text)}
		}
		*wish = number
	}
	return thumbnail(event)
}

func thumbnail(event Event) (*Thumbnail, error) {
	if err := wishes(&event); err != nil {
		return nil, err
	}
	source, from, err := decode(event.Image)
	if err != nil {
		return nil, err
	}
	turn := orientation(event.Image)
	if turn.swaps() {
		from.Width, from.Height = from.Height, from.Width
	}
	width, height := fit(from.Width, from.Height, event.Width, event.Height)
	asStored := image.Pt(width, height)
	if turn.swaps() {
		asStored = image.Pt(height, width)
	}
	made := turn.apply(resize(source, asStored.X, asStored.Y))
	if event.Format == "" {
		event.Format = from.Format
	}
	packed, err := encode(made, event.Format, event.Quality)
	if err != nil {
		return nil, err
	}
	return &Thumbnail{packed, "image/" + event.Format, width, height, from}, nil
}

// wishes fills in what was not said and refuses what cannot be.
func wishes(event *Event) error {
	switch {
	case len(event.Image) == 0:
		return &Refused{400, "there is no image: send its bytes as the body, or in base64 as `image`"}
	case event.Width < 0 || event.Width > sideMax || event.Height < 0 || event.Height > sideMax:
		return &Refused{400, fmt.Sprintf("width and height must be at most %d", sideMax)}
	case event.Quality < 0 || event.Quality > 100:
		return &Refused{400, fmt.Sprintf("quality must be 1 to 100, was %d", event.Quality)}
	case event.Format != "" && event.Format != "jpeg" && event.Format != "png":
		return &Refused{400, "format must be jpeg or png, was " + strconv.Quote(event.Format)}
	}
	if event.Width == 0 && event.Height == 0 {
		event.Width = widthDefault
	}
	if event.Quality == 0 {
		event.Quality = qualityDefault
	}
	return nil
}

func decode(packed []byte) (image.Image, Size, error) {
	// The head first: it says how much memory the rest would take.
	config, format, err := image.DecodeConfig(bytes.NewReader(packed))
	if errors.Is(err, image.ErrFormat) {
		return nil, Size{}, &Refused{415, "the image is neither JPEG nor PNG"}
	}
	if err != nil {
		return nil, Size{}, &Refused{400, "the image is damaged: " + err.Error()}
	}
	if config.Width*config.Height > pixelsMax {
		return nil, Size{}, &Refused{413, fmt.Sprintf("the image has %d × %d pixels, and at most %d are taken",
			config.Width, config.Height, pixelsMax)}
	}
	decoded, _, err := image.Decode(bytes.NewReader(packed))
	if err != nil {
		return nil, Size{}, &Refused{400, "the image is damaged: " + err.Error()}
	}
	return decoded, Size{config.Width, config.Height, format, len(packed)}, nil
}

// fit is the largest size of the same shape in the box; a side of 0 bounds nothing, and nothing is enlarged.
func fit(width, height, boxWidth, boxHeight int) (int, int) {
	scale := 1.0
	if boxWidth > 0 {
		scale = min(scale, float64(boxWidth)/float64(width))
	}
	if boxHeight > 0 {
		scale = min(scale, float64(boxHeight)/float64(height))
	}
	side := func(length int) int { return max(1, int(float64(length)*scale+0.5)) }
	return side(width), side(height)
}

func encode(made *image.NRGBA, format string, quality int) ([]byte, error) {
	var packed bytes.Buffer
	var err error
	if format == "png" {
		err = png.Encode(&packed, made)
	} else {
		err = jpeg.Encode(&packed, onWhite(made), &jpeg.Options{Quality: quality})
	}
	return packed.Bytes(), err
}

// onWhite is the image without transparency, which JPEG has not, in the form that the encoder is fast for.
func onWhite(made *image.NRGBA) *image.RGBA {
	for i := 0; i < len(made.Pix); i += channels {
		alpha := uint32(made.Pix[i+3])
		if alpha == 255 {
			continue
		}
		for j := i; j < i+3; j++ {
			made.Pix[j] = byte((uint32(made.Pix[j])*alpha + 255*(255-alpha) + 127) / 255)
		}
		made.Pix[i+3] = 255
	}
	return &image.RGBA{Pix: made.Pix, Stride: made.Stride, Rect: made.Rect}
}

func init() { isolet.Handle(handle) }
func main() {}
