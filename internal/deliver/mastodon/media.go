package mastodon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

const mediaPath = "/api/v2/media"

// attachment is an image on the server. Servers drop those that no post has after a day.
type attachment struct {
	ID          string `json:"id"`
	Description string `json:"description"`
}

// upload brings images to the server and waits until they can be posted. Nothing of it is public.
func (p *Publisher) upload(ctx context.Context, images []post.Image) (ids []string, stop *wire.Stop) {
	for _, image := range images {
		id, stop := p.uploadOne(ctx, &image)
		if stop != nil {
			return nil, stop
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (p *Publisher) uploadOne(ctx context.Context, image *post.Image) (string, *wire.Stop) {
	if stop := p.client.Rest(mediaPath); stop != nil {
		return "", stop
	}
	data, contentType, err := form(image)
	if err != nil {
		return "", wire.Refused("the image cannot be written as a form")
	}
	a, err := p.client.Do(ctx, wire.Request{Method: http.MethodPost, Path: mediaPath, Token: p.o.Token, Body: data, ContentType: contentType})
	if stop := p.halt("POST "+mediaPath, a, err); stop != nil {
		return "", refusedImage(a, stop)
	}
	var m attachment
	if json.Unmarshal(a.Body, &m) != nil || !isID(m.ID) {
		return "", wire.Deferred(0, "the server takes an image and does not say its id")
	}
	if a.Status == http.StatusAccepted {
		return m.ID, p.awaitProcessing(ctx, m.ID)
	}
	return m.ID, nil
}

// refusedImage says in the server's words why it does not take an image.
func refusedImage(a *wire.Answer, stop *wire.Stop) *wire.Stop {
	if stop.Trouble == nil && stop.Code/100 == 4 && stop.Code != http.StatusTooManyRequests && stop.Code != http.StatusRequestTimeout {
		return coded(a, wire.Refused("the server does not take an image: %s", wire.Words(a.Status, said(a))))
	}
	return stop
}

func form(image *post.Image) (data []byte, contentType string, err error) {
	picture, _ := post.Inspect(image.Data)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	name := "image." + strings.TrimPrefix(picture.MIME, "image/")
	file, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}, "Content-Type": {picture.MIME},
	})
	if err == nil {
		_, err = file.Write(image.Data)
	}
	if err == nil && image.Alt != "" {
		err = w.WriteField("description", image.Alt)
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), w.FormDataContentType(), err
}

// awaitProcessing asks until the server is done with an image: 206 while it is not.
func (p *Publisher) awaitProcessing(ctx context.Context, id string) *wire.Stop {
	ctx, cancel := context.WithTimeout(ctx, p.o.Processing)
	defer cancel()
	tick := time.NewTicker(p.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return wire.Deferred(0, "the server has not processed an image yet")
		case <-tick.C:
		}
		a, err := p.get(ctx, "/api/v1/media/"+id, nil, 0)
		if err != nil && ctx.Err() != nil {
			continue
		}
		if stop := p.halt("GET /api/v1/media/…", a, err); stop != nil {
			return refusedImage(a, stop)
		}
		if a.Status != http.StatusPartialContent {
			return nil
		}
	}
}
