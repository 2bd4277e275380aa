package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // decodes the charsets of the world
	"github.com/emersion/go-message/textproto"
)

// Bounds on what is taken apart: what arrives may be anything.
const (
	maxDepth = 20
	maxParts = 200
)

// Message is a message taken apart for people and scripts.
type Message struct {
	Entry
	// Header has every field in its order, decoded.
	Header []Field `json:"header"`
	// Text and HTML are the first parts of those types; empty where there is none.
	Text string `json:"text"`
	HTML string `json:"html"`
	// Parts are all leaves, attachments among them.
	Parts []Part `json:"parts"`
}

// Field is one header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Part is a leaf of the MIME tree.
type Part struct {
	// Index counts leaves from 0.
	Index int `json:"index"`
	// Type is the media type, such as text/html.
	Type string `json:"type"`
	// Name is the file name, where the part has one.
	Name string `json:"name,omitempty"`
	// Size is the decoded content's, in bytes.
	Size int `json:"size"`

	content []byte
}

// parse takes a message apart as far as it can: one that is not well-formed shows what was understood of it.
func parse(entry Entry, raw []byte) Message {
	m := Message{Entry: entry, Header: []Field{}, Parts: []Part{}}
	entity, err := message.Read(bytes.NewReader(raw))
	if entity == nil {
		m.Text = fmt.Sprintf("This message cannot be read: %v.", err)
		return m
	}
	for fields := entity.Header.Fields(); fields.Next(); {
		m.Header = append(m.Header, Field{Name: fields.Key(), Value: decode(fields.Value())})
	}
	m.addParts(entity, 0)
	for _, part := range m.Parts {
		switch {
		case part.Name != "":
		case part.Type == "text/plain" && m.Text == "":
			m.Text = string(part.content)
		case part.Type == "text/html" && m.HTML == "":
			m.HTML = string(part.content)
		}
	}
	return m
}

// addParts walks the tree. Errors end a branch, not the walk: a truncated message still shows its beginning.
func (m *Message) addParts(entity *message.Entity, depth int) {
	if depth > maxDepth || len(m.Parts) >= maxParts {
		return
	}
	if parts := entity.MultipartReader(); parts != nil {
		for {
			part, err := parts.NextPart()
			if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return
			}
			m.addParts(part, depth+1)
		}
	}
	content, _ := io.ReadAll(entity.Body) // what was read before an error is what there is to show
	mediaType, params, err := entity.Header.ContentType()
	if err != nil || mediaType == "" {
		mediaType = "text/plain"
	}
	name := params["name"]
	if _, disposition, err := entity.Header.ContentDisposition(); err == nil && disposition["filename"] != "" {
		name = disposition["filename"]
	}
	m.Parts = append(m.Parts, Part{Index: len(m.Parts), Type: mediaType, Name: decode(name), Size: len(content), content: content})
}

// readHeader returns a message's header; a malformed one as far as it goes.
func readHeader(raw []byte) map[string][]string {
	fields := map[string][]string{}
	header, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil && !errors.Is(err, io.EOF) {
		return fields
	}
	for each := header.Fields(); each.Next(); {
		fields[canonical(each.Key())] = append(fields[canonical(each.Key())], each.Value())
	}
	return fields
}

func canonical(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// listedFields are the header fields that a list shows.
func listedFields(raw []byte) (subject, messageID string) {
	header := readHeader(raw)
	if values := header["subject"]; len(values) > 0 {
		subject = decode(values[0])
	}
	if values := header["message-id"]; len(values) > 0 {
		messageID = strings.TrimSpace(values[0])
	}
	return subject, messageID
}

// decode reads encoded words (RFC 2047); what cannot be decoded is shown as it is.
func decode(value string) string {
	decoder := mime.WordDecoder{CharsetReader: message.CharsetReader}
	if decoded, err := decoder.DecodeHeader(value); err == nil {
		return strings.ToValidUTF8(decoded, "\uFFFD")
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}
