package converse

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// ImageFormat is what a picture in base64 is by its first bytes, "" when it is none that Converse takes. What its
// sender calls it is often wrong.
func ImageFormat(data []byte) string {
	var head [12]byte
	n, _ := base64.StdEncoding.Decode(head[:], data[:min(len(data), 16)]) // the rest is for the upstream to read
	switch b := head[:n]; {
	case bytes.HasPrefix(b, []byte("\x89PNG")):
		return "png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return "jpeg"
	case bytes.HasPrefix(b, []byte("GIF8")):
		return "gif"
	case len(b) == 12 && string(b[:4]) == "RIFF" && string(b[8:]) == "WEBP":
		return "webp"
	}
	return ""
}

// formats are the documents that Converse takes, by media type.
var formats = map[string]string{
	"application/pdf":    "pdf",
	"text/csv":           "csv",
	"application/msword": "doc",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.ms-excel": "xls",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
	"text/html":     "html",
	"text/plain":    "txt",
	"text/markdown": "md",
}

// endings are the documents that Converse takes, by the end of a file's name.
var endings = map[string]string{"htm": "html", "text": "txt", "markdown": "md"}

// DocumentFormat is what a document is by its media type, or by its name where the type does not say; "" when it is
// none that Converse takes.
func DocumentFormat(media, name string) string {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	if f := formats[strings.TrimSpace(media)]; f != "" {
		return f
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	ending := strings.ToLower(name[dot+1:])
	if f := endings[ending]; f != "" {
		return f
	}
	for _, f := range formats {
		if f == ending {
			return f
		}
	}
	return ""
}

// DataURL splits a data: URL in base64 into its media type and its data. ok is false for any other URL, and for data
// that is no base64.
func DataURL(url []byte) (media string, data []byte, ok bool) {
	if len(url) < 5 || !strings.EqualFold(string(url[:5]), "data:") {
		return "", nil, false
	}
	head, data, found := bytes.Cut(url[5:], []byte(","))
	media, isBase64 := strings.CutSuffix(string(head), ";base64")
	return media, data, found && isBase64 && Base64(data)
}

// Base64 reports whether data may be base64: its letters, and padding at its end.
func Base64(data []byte) bool {
	if len(data) == 0 || len(data)%4 != 0 {
		return false
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("=")), []byte("="))
	for _, c := range data {
		if !plain(c, "+/") {
			return false
		}
	}
	return true
}
