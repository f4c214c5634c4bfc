package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// postAndForget posts as try does.
func (w *world) postAndForget(path, document string) response { return w.try("POST", path, document) }

// try calls the API as the developer, from any goroutine. The zero response is
// no answer.
func (w *world) try(method, path, document string) response {
	return w.tryAs(w.developer, method, path, document)
}

// tryWith is try with an Idempotency-Key, if there is one.
func (w *world) tryWith(method, path, document, key string) response {
	if key == "" {
		return w.try(method, path, document)
	}
	return w.tryAs(w.developer, method, path, document, "Idempotency-Key", key)
}

// tryAs is try with a token and headers, given as pairs.
func (w *world) tryAs(token, method, path, document string, headers ...string) response {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+w.api+path, strings.NewReader(document))
	if err != nil {
		return response{}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		return response{}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return response{}
	}
	return response{status: answer.StatusCode, header: answer.Header, body: body}
}

// atOnce sends all registrations at the same time and returns their statuses.
func (w *world) atOnce(documents []string) []int {
	statuses := make([]int, len(documents))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i, document := range documents {
		wg.Go(func() {
			<-begin
			statuses[i] = w.postAndForget("/agents", document).status
		})
	}
	close(begin)
	wg.Wait()
	return statuses
}

// listens reports whether somebody takes connections where the server did.
func (w *world) listens() bool {
	c, err := (&net.Dialer{}).Dial("tcp", w.api)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// delay holds a request until release is closed, then passes it on. entered is
// closed when it comes.
func delay(entered chan<- struct{}, release <-chan struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		once.Do(func() { close(entered) })
		<-release
		next.ServeHTTP(w, r)
	}
}
