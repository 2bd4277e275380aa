package post

import (
	"bytes"
	"encoding/binary"
	"image"
	_ "image/gif"  // their sizes
	_ "image/jpeg" // their sizes
	_ "image/png"  // their sizes
	"net/http"
)

// Picture is what an image says of itself by its content. No name and no caller is believed.
type Picture struct {
	MIME          string
	Width, Height int // zero where they could not be read
}

// Inspect reads what an image is. It is false for what is no image that networks take: PNG, JPEG, GIF or WebP.
func Inspect(data []byte) (Picture, bool) {
	p := Picture{MIME: http.DetectContentType(data)}
	switch p.MIME {
	case "image/png", "image/jpeg", "image/gif":
		config, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return Picture{}, false
		}
		p.Width, p.Height = config.Width, config.Height
		return p, true
	case "image/webp":
		p.Width, p.Height = webpSize(data)
		return p, true
	}
	return Picture{}, false
}

// webpSize reads the size of the two commoner forms of a WebP file: extended, and lossless or lossy without extensions.
func webpSize(data []byte) (width, height int) {
	if len(data) < 30 {
		return 0, 0
	}
	switch string(data[12:16]) {
	case "VP8X":
		size := func(at int) int { return 1 + int(data[at]) + int(data[at+1])<<8 + int(data[at+2])<<16 }
		return size(24), size(27)
	case "VP8 ":
		return int(binary.LittleEndian.Uint16(data[26:]) & 0x3fff), int(binary.LittleEndian.Uint16(data[28:]) & 0x3fff)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(data[21:])
		return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1
	}
	return 0, 0
}
