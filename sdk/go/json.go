package isolet

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON for the types that read or write themselves in it (json.RawMessage, time.Time, AWS's attribute values …). Written here
// because encoding/json would be linked into every function, used or not.

// json appends the next value as JSON text: binary as base64, what is not finite as null.
func (d *decoder) json(to []byte) ([]byte, error) {
	h, err := d.next()
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case kindNil:
		return append(to, "null"...), nil
	case kindBool:
		return strconv.AppendBool(to, h.bits != 0), nil
	case kindInt:
		return strconv.AppendInt(to, int64(h.bits), 10), nil
	case kindUint:
		return strconv.AppendUint(to, h.bits, 10), nil
	case kindFloat:
		number := math.Float64frombits(h.bits)
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return append(to, "null"...), nil
		}
		return strconv.AppendFloat(to, number, 'g', -1, 64), nil
	case kindString:
		text, err := d.text(h.length)
		return appendJSONString(to, text), err
	case kindBinary:
		to = append(to, '"')
		to = base64.StdEncoding.AppendEncode(to, d.take(h.length))
		return append(to, '"'), nil
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	open, end := byte('['), byte(']')
	if h.kind == kindMap {
		open, end = '{', '}'
	}
	to = append(to, open)
	for i := range h.length {
		if i > 0 {
			to = append(to, ',')
		}
		if h.kind == kindMap {
			key, err := d.key()
			if err != nil {
				return nil, err
			}
			to = append(appendJSONString(to, key), ':')
		}
		if to, err = d.json(to); err != nil {
			return nil, err
		}
	}
	d.depth--
	return append(to, end), nil
}

func appendJSONString(to []byte, text string) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < 0x20:
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}

// fromJSON writes JSON text as msgpack.
func (e *encoder) fromJSON(text []byte) error {
	p := parser{text: text}
	if err := p.value(e); err != nil {
		return err
	}
	if p.space(); p.at != len(text) {
		return errJSON
	}
	return nil
}

var errJSON = &UnsupportedError{"its MarshalJSON gave text that is not JSON"}

type parser struct {
	text []byte
	at   int
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) accept(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(e *encoder) error {
	p.space()
	if p.at >= len(p.text) {
		return errJSON
	}
	switch p.text[p.at] {
	case '{', '[':
		return p.container(e)
	case '"':
		text, err := p.string()
		e.string(text)
		return err
	}
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(",]} \t\r\n", p.text[p.at]) < 0 {
		p.at++
	}
	return e.jsonWord(string(p.text[start:p.at]))
}

func (e *encoder) jsonWord(word string) error {
	switch word {
	case "null":
		e.nil()
		return nil
	case "true", "false":
		e.bool(word == "true")
		return nil
	}
	if number, err := strconv.ParseInt(word, 10, 64); err == nil {
		e.int(number)
	} else if number, err := strconv.ParseUint(word, 10, 64); err == nil {
		e.uint(number)
	} else if number, err := strconv.ParseFloat(word, 64); err == nil && word[0] != '+' {
		e.float(number)
	} else {
		return errJSON
	}
	return nil
}

// container writes the elements behind a head whose count is only known at the end, and puts the head before them then.
func (p *parser) container(e *encoder) error {
	if err := e.enter(); err != nil {
		return err
	}
	object := p.text[p.at] == '{'
	end := p.text[p.at] + 2 // ']' and '}' stand two behind '[' and '{'
	p.at++
	inner := encoder{depth: e.depth}
	count := 0
	for !p.accept(end) {
		if count > 0 && !p.accept(',') {
			return errJSON
		}
		if p.space(); object {
			key, err := p.string()
			if err != nil {
				return err
			}
			inner.string(key)
			if !p.accept(':') {
				return errJSON
			}
		}
		if err := p.value(&inner); err != nil {
			return err
		}
		count++
	}
	if object {
		e.mapping(count)
	} else {
		e.array(count)
	}
	e.bytes = append(e.bytes, inner.bytes...)
	e.depth--
	return nil
}

func (p *parser) string() (string, error) {
	if !p.accept('"') {
		return "", errJSON
	}
	var text []byte
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(text), nil
		case c != '\\':
			text = append(text, c)
		case p.at >= len(p.text):
			return "", errJSON
		case p.text[p.at] == 'u':
			p.at++
			text = utf8.AppendRune(text, p.unicode())
		default:
			i := strings.IndexByte(`"\/bfnrt`, p.text[p.at])
			if i < 0 {
				return "", errJSON
			}
			p.at++
			text = append(text, "\"\\/\b\f\n\r\t"[i])
		}
	}
	return "", errJSON
}

// unicode reads the four digits behind \u, and a second such escape if the two are a surrogate pair.
func (p *parser) unicode() rune {
	first := p.fourDigits()
	if utf16.IsSurrogate(first) && p.at+1 < len(p.text) && p.text[p.at] == '\\' && p.text[p.at+1] == 'u' {
		before := p.at
		p.at += 2
		if both := utf16.DecodeRune(first, p.fourDigits()); both != utf8.RuneError {
			return both
		}
		p.at = before
	}
	return first
}

func (p *parser) fourDigits() rune {
	if p.at+4 > len(p.text) {
		p.at = len(p.text)
		return utf8.RuneError
	}
	number, err := strconv.ParseUint(string(p.text[p.at:p.at+4]), 16, 32)
	p.at += 4
	if err != nil {
		return utf8.RuneError
	}
	return rune(number)
}
