package main

import (
	"encoding/binary"
	"image"
)

// turn is how a camera was held: EXIF's orientation, 1 to 8 (Exif 2.32, 4.6.4 A). Cameras store the pixels as the sensor read
// them, and this tag beside them; a thumbnail that drops the tag must turn the pixels.
type turn int

const upright turn = 1

// swaps is whether width and height change places.
func (t turn) swaps() bool { return t >= 5 }

// apply is the image as it is to be seen.
func (t turn) apply(from *image.NRGBA) *image.NRGBA {
	if t == upright {
		return from
	}
	width, height := from.Rect.Dx(), from.Rect.Dy()
	made := image.NewNRGBA(image.Rect(0, 0, width, height))
	if t.swaps() {
		made = image.NewNRGBA(image.Rect(0, 0, height, width))
	}
	for y := range height {
		for x := range width {
			toX, toY := x, y
			if t == 2 || t == 3 || t == 7 || t == 8 {
				toX = width - 1 - x
			}
			if t == 3 || t == 4 || t == 6 || t == 7 {
				toY = height - 1 - y
			}
			if t.swaps() {
				toX, toY = toY, toX
			}
			copy(made.Pix[made.PixOffset(toX, toY):][:channels], from.Pix[from.PixOffset(x, y):])
		}
	}
	return made
}

// orientation finds the tag in a JPEG's APP1 segment. Whatever is odd about it counts as upright.
func orientation(packed []byte) turn {
	if len(packed) < 4 || packed[0] != 0xff || packed[1] != 0xd8 {
		return upright
	}
	for at := 2; at+4 <= len(packed) && packed[at] == 0xff; {
		marker, length := packed[at+1], int(binary.BigEndian.Uint16(packed[at+2:]))
		end := at + 2 + length
		if marker == 0xda || length < 2 || end > len(packed) {
			break
		}
		if segment := packed[at+4 : end]; marker == 0xe1 && len(segment) > 14 && string(segment[:6]) == "Exif\x00\x00" {
			return fromTIFF(segment[6:])
		}
		at = end
	}
	return upright
}

// fromTIFF looks through the first directory: entries of 12 bytes, tag, type, count, value.
func fromTIFF(tiff []byte) turn {
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := int(order.Uint32(tiff[4:]))
	if at < 8 || at+2 > len(tiff) {
		return upright
	}
	count := int(order.Uint16(tiff[at:]))
	for entry := at + 2; count > 0 && entry+12 <= len(tiff); entry += 12 {
		if order.Uint16(tiff[entry:]) == 0x0112 {
			if value := turn(order.Uint16(tiff[entry+8:])); value >= 1 && value <= 8 {
				return value
			}
			return upright
		}
		count--
	}
	return upright
}
