package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
)

// A model that throttles its first caller and then answers.
func Example() {
	script, err := sandbox.LoadScript([]byte(`
rules:
  - match: {model: "amazon.nova-*"}
    times: 1
    error: {status: 429, type: ThrottlingException, message: Too many requests.}
  - answer: {text: Paris., input_tokens: 9, output_tokens: 2}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := sandbox.New(sandbox.Options{Script: script})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	url, err := server.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func() {
		body := strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"Capital of France?"}]}]}`)
		req, _ := http.NewRequest("POST", url+"/model/amazon.nova-lite-v1:0/converse", body)
		req.Header.Set("Authorization", "Bearer "+sandbox.DefaultBearerToken)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		fmt.Println(res.StatusCode, strings.Contains(string(answer), "Paris."))
	}
	ask()
	ask()
	for _, e := range server.Log() {
		fmt.Println(e.Status, e.Input, e.Output)
	}
	// Output:
	// 429 false
	// 200 true
	// 429 0 0
	// 200 9 2
}
