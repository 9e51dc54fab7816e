package main

import (
	"image"
	"image/color"
	"math"
)

// Resampling with Lanczos' kernel of radius 3, widened by the factor of reduction so that every source pixel counts: what Pillow
// calls LANCZOS. Colours are weighted by their opacity, or transparent pixels would bleed their colour into the edges.
//
// The source is read row by row: a row is converted and resampled across, then added, with its weights, to the few result rows
// that it reaches. No other form of the whole source exists, and memory stays near that of the decoded image.

const (
	kernelRadius = 3.0
	channels     = 4
)

func lanczos(x float64) float64 {
	if x == 0 {
		return 1
	}
	if math.Abs(x) >= kernelRadius {
		return 0
	}
	x *= math.Pi
	return kernelRadius * math.Sin(x) * math.Sin(x/kernelRadius) / (x * x)
}

// span is the source pixels that one result pixel is made of: from `first` on, with these weights, together 1.
type span struct {
	first   int
	weights []float32
}

func spans(from, to int) []span {
	scale := float64(from) / float64(to)
	support := max(scale, 1)
	made := make([]span, to)
	for i := range made {
		center := (float64(i) + 0.5) * scale
		first := max(0, int(math.Floor(center-kernelRadius*support+0.5)))
		last := min(from, int(math.Floor(center+kernelRadius*support+0.5)))
		weights, sum := make([]float32, last-first), 0.0
		for j := range weights {
			weight := lanczos((float64(first+j) + 0.5 - center) / support)
			weights[j] = float32(weight)
			sum += weight
		}
		for j := range weights {
			weights[j] /= float32(sum)
		}
		made[i] = span{first, weights}
	}
	return made
}

// resize is `source` in another size, with alpha not premultiplied.
func resize(source image.Image, width, height int) *image.NRGBA {
	bounds := source.Bounds()
	across, down := spans(bounds.Dx(), width), spans(bounds.Dy(), height)
	read := rows(source)
	row := make([]float32, bounds.Dx()*channels)
	narrow := make([]float32, width*channels)
	made := image.NewNRGBA(image.Rect(0, 0, width, height))
	sums := make([][]float32, height) // of the result rows under way
	var spare [][]float32
	started, finished := 0, 0
	for y := range bounds.Dy() {
		read(y, row)
		resample(row, narrow, across)
		for started < height && down[started].first <= y {
			if len(spare) > 0 {
				sums[started], spare = spare[len(spare)-1], spare[:len(spare)-1]
				clear(sums[started])
			} else {
				sums[started] = make([]float32, width*channels)
			}
			started++
		}
		for i := finished; i < started; i++ {
			if at := y - down[i].first; at < len(down[i].weights) {
				add(sums[i], narrow, down[i].weights[at])
			}
		}
		for finished < started && y == down[finished].first+len(down[finished].weights)-1 {
			finish(sums[finished], made.Pix[finished*made.Stride:])
			spare = append(spare, sums[finished])
			sums[finished] = nil
			finished++
		}
	}
	return made
}

func resample(row, narrow []float32, across []span) {
	for i, s := range across {
		var r, g, b, a float32
		pixels := row[s.first*channels : (s.first+len(s.weights))*channels]
		for j, w := range s.weights {
			p := pixels[j*channels : j*channels+channels : j*channels+channels]
			r += p[0] * w
			g += p[1] * w
			b += p[2] * w
			a += p[3] * w
		}
		to := narrow[i*channels : i*channels+channels : i*channels+channels]
		to[0], to[1], to[2], to[3] = r, g, b, a
	}
}

func add(sum, row []float32, weight float32) {
	row = row[:len(sum)]
	for i := range sum {
		sum[i] += row[i] * weight
	}
}

// finish turns sums, premultiplied and of 0 to 255, into pixels.
func finish(sums []float32, pixels []byte) {
	for i := 0; i < len(sums); i += channels {
		alpha := clamp(sums[i+3])
		pixels[i+3] = alpha
		if alpha == 0 {
			pixels[i], pixels[i+1], pixels[i+2] = 0, 0, 0
			continue
		}
		back := float32(1)
		if alpha < 255 {
			back = 255 / sums[i+3]
		}
		pixels[i], pixels[i+1], pixels[i+2] = clamp(sums[i]*back), clamp(sums[i+1]*back), clamp(sums[i+2]*back)
	}
}

func clamp(value float32) byte {
	return byte(min(max(value+0.5, 0), 255))
}

// rows is how the kind of image gives its rows, premultiplied, as 0 to 255. The kinds that JPEG and PNG mostly decode to have
// ways of their own: asking each pixel for its colour costs a call and an allocation.
func rows(source image.Image) func(y int, row []float32) {
	bounds := source.Bounds()
	switch m := source.(type) {
	case *image.YCbCr:
		return func(y int, row []float32) {
			for x := range bounds.Dx() {
				luma := m.YOffset(bounds.Min.X+x, bounds.Min.Y+y)
				chroma := m.COffset(bounds.Min.X+x, bounds.Min.Y+y)
				r, g, b := color.YCbCrToRGB(m.Y[luma], m.Cb[chroma], m.Cr[chroma])
				put(row[x*channels:], r, g, b, 255)
			}
		}
	case *image.Gray:
		return func(y int, row []float32) {
			line := m.Pix[m.PixOffset(bounds.Min.X, bounds.Min.Y+y):]
			for x := range bounds.Dx() {
				put(row[x*channels:], line[x], line[x], line[x], 255)
			}
		}
	case *image.RGBA: // PNG without transparency
		return func(y int, row []float32) {
			line := m.Pix[m.PixOffset(bounds.Min.X, bounds.Min.Y+y):]
			for i := range row {
				row[i] = float32(line[i])
			}
		}
	case *image.NRGBA:
		return func(y int, row []float32) {
			line := m.Pix[m.PixOffset(bounds.Min.X, bounds.Min.Y+y):]
			for i := 0; i < len(row); i += channels {
				alpha := float32(line[i+3]) / 255
				row[i], row[i+1] = float32(line[i])*alpha, float32(line[i+1])*alpha
				row[i+2], row[i+3] = float32(line[i+2])*alpha, float32(line[i+3])
			}
		}
	}
	return func(y int, row []float32) {
		for x := range bounds.Dx() {
			r, g, b, a := source.At(bounds.Min.X+x, bounds.Min.Y+y).RGBA()
			to := row[x*channels : x*channels+channels]
			to[0], to[1], to[2], to[3] = float32(r)/257, float32(g)/257, float32(b)/257, float32(a)/257
		}
	}
}

func put(to []float32, r, g, b, a byte) {
	to = to[:channels]
	to[0], to[1], to[2], to[3] = float32(r), float32(g), float32(b), float32(a)
}
