package isolet

import (
	"strings"
)

// HTTPRequest is an HTTP request as an event: AWS Lambda's payload format 2.0 (abi.md 2.2). The names are those of
// APIGatewayV2HTTPRequest in aws-lambda-go, but Body holds the body's bytes, textual or not, never base64.
type HTTPRequest struct {
	Version               string             `json:"version"`
	RouteKey              string             `json:"routeKey"`
	RawPath               string             `json:"rawPath"`
	RawQueryString        string             `json:"rawQueryString"`
	Cookies               []string           `json:"cookies,omitempty"`
	Headers               map[string]string  `json:"headers"`
	QueryStringParameters map[string]string  `json:"queryStringParameters,omitempty"`
	PathParameters        map[string]string  `json:"pathParameters,omitempty"`
	RequestContext        HTTPRequestContext `json:"requestContext"`
	Body                  Body               `json:"body,omitempty"`
	IsBase64Encoded       bool               `json:"isBase64Encoded"`
}

type HTTPRequestContext struct {
	AccountID    string          `json:"accountId"`
	DomainName   string          `json:"domainName"`
	DomainPrefix string          `json:"domainPrefix"`
	HTTP         HTTPDescription `json:"http"`
	RequestID    string          `json:"requestId"`
	RouteKey     string          `json:"routeKey"`
	Stage        string          `json:"stage"`
	Time         string          `json:"time"`
	TimeEpoch    int64           `json:"timeEpoch"`
}

type HTTPDescription struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// Body is a request's body: a string of the event as its bytes, binary as it is.
type Body []byte

func (b *Body) decodeMsgpack(d *decoder) error {
	bytes, err := d.textOrBinary()
	*b = bytes
	return err
}

func (r *HTTPRequest) Method() string { return r.RequestContext.HTTP.Method }
func (r *HTTPRequest) Path() string   { return r.RawPath }

// Header is the value of a header, by its name in any case; "" if it was not sent. Several of one name are one, joined by
// commas.
func (r *HTTPRequest) Header(name string) string { return r.Headers[strings.ToLower(name)] }

// Query is a parameter of the query string, decoded; "" if it was not sent.
func (r *HTTPRequest) Query(name string) string { return r.QueryStringParameters[name] }

// PathParameter is what {name} stood for in the route that matched.
func (r *HTTPRequest) PathParameter(name string) string { return r.PathParameters[name] }

// Cookie is the value of a cookie; "" if it was not sent.
func (r *HTTPRequest) Cookie(name string) string {
	for _, cookie := range r.Cookies {
		if found, value, _ := strings.Cut(cookie, "="); found == name {
			return value
		}
	}
	return ""
}

// Form is a field of a body of type application/x-www-form-urlencoded, decoded; "" if it was not sent.
func (r *HTTPRequest) Form(name string) string {
	for _, pair := range strings.Split(string(r.Body), "&") {
		key, value, _ := strings.Cut(pair, "=")
		if urlDecode(key) == name {
			return urlDecode(value)
		}
	}
	return ""
}

// urlDecode takes %XX and + out of a text; what is no escape stays as it is.
func urlDecode(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			decoded = append(decoded, ' ')
		case c == '%' && i+2 < len(text) && hexDigit(text[i+1]) >= 0 && hexDigit(text[i+2]) >= 0:
			decoded = append(decoded, byte(hexDigit(text[i+1])<<4|hexDigit(text[i+2])))
			i += 2
		default:
			decoded = append(decoded, c)
		}
	}
	return string(decoded)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// HTTPResponse is the answer to an HTTP request. A StatusCode of 0 means 200. The body is Bytes if that is not nil, else
// Body, which is text.
type HTTPResponse struct {
	StatusCode int
	Headers    map[string]string
	Cookies    []string // whole ones, as in Set-Cookie: "name=value; Path=/"
	Body       string
	Bytes      []byte
}

func (r HTTPResponse) encodeMsgpack(e *encoder) error {
	pairs := 1
	for _, there := range []bool{len(r.Headers) > 0, len(r.Cookies) > 0, r.Bytes != nil || r.Body != "", r.Bytes != nil} {
		if there {
			pairs++
		}
	}
	e.mapping(pairs)
	e.string("statusCode")
	if r.StatusCode == 0 {
		r.StatusCode = 200
	}
	e.int(int64(r.StatusCode))
	if len(r.Headers) > 0 {
		e.string("headers")
		if err := e.any(r.Headers); err != nil {
			return err
		}
	}
	if len(r.Cookies) > 0 {
		e.string("cookies")
		if err := e.any(r.Cookies); err != nil {
			return err
		}
	}
	if r.Bytes != nil {
		e.string("body")
		e.binary(r.Bytes)
		// So that the answer is right as JSON too, where the host makes base64 of binary.
		e.string("isBase64Encoded")
		e.bool(true)
	} else if r.Body != "" {
		e.string("body")
		e.string(r.Body)
	}
	return nil
}
