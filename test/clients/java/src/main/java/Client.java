import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.bedrockruntime.BedrockRuntimeAsyncClient;
import software.amazon.awssdk.services.bedrockruntime.BedrockRuntimeClient;
import software.amazon.awssdk.services.bedrockruntime.model.ContentBlock;
import software.amazon.awssdk.services.bedrockruntime.model.ConversationRole;
import software.amazon.awssdk.services.bedrockruntime.model.ConverseRequest;
import software.amazon.awssdk.services.bedrockruntime.model.ConverseResponse;
import software.amazon.awssdk.services.bedrockruntime.model.ConverseStreamRequest;
import software.amazon.awssdk.services.bedrockruntime.model.ConverseStreamResponseHandler;
import software.amazon.awssdk.services.bedrockruntime.model.InvokeModelWithResponseStreamResponseHandler;
import software.amazon.awssdk.services.bedrockruntime.model.Message;

/** The AWS SDK for Java v2, unmodified: the calls of the other clients, what its user sees printed as JSON. */
public final class Client {
  private static final String MODEL = env("MODEL", "amazon.nova-lite-v1:0");
  private static final String THROTTLED = env("THROTTLED_MODEL", "amazon.nova-micro-v1:0");
  private static final Message HELLO =
      Message.builder().role(ConversationRole.USER).content(ContentBlock.fromText("hello")).build();
  private static final String BODY = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]}";

  private static String env(String name, String otherwise) {
    return System.getenv(name) == null ? otherwise : System.getenv(name);
  }

  private static Map<String, Object> text(String text) {
    Map<String, Object> outcome = new LinkedHashMap<>();
    outcome.put("text", text);
    return outcome;
  }

  private static Map<String, Object> plain(ConverseResponse response) {
    return text(response.output().message().content().get(0).text());
  }

  private static ConverseRequest request(String model) {
    return ConverseRequest.builder().modelId(model).messages(HELLO).build();
  }

  /** Takes the text out of a Nova body or chunk, of which the field occurs once. */
  private static String textOf(SdkBytes json) {
    String s = json.asUtf8String();
    int at = s.indexOf("\"text\":\"");
    return at < 0 ? "" : s.substring(at + 8, s.indexOf('"', at + 8));
  }

  private static Map<String, Object> outcome(Callable<Map<String, Object>> call) throws Exception {
    try {
      return call.call();
    } catch (Exception e) {
      Throwable cause = e instanceof CompletionException || e instanceof ExecutionException ? e.getCause() : e;
      if (!(cause instanceof AwsServiceException)) {
        throw e;
      }
      AwsServiceException failure = (AwsServiceException) cause;
      Map<String, Object> outcome = new LinkedHashMap<>();
      outcome.put("error", failure.awsErrorDetails().errorCode());
      outcome.put("status", failure.statusCode());
      outcome.put("message", failure.awsErrorDetails().errorMessage());
      return outcome;
    }
  }

  private static Map<String, Map<String, Object>> sync() throws Exception {
    Map<String, Map<String, Object>> all = new LinkedHashMap<>();
    try (BedrockRuntimeClient client = BedrockRuntimeClient.builder()
        .overrideConfiguration(o -> o.retryStrategy(DefaultRetryStrategy.doNotRetry())).build()) {
      all.put("plain", outcome(() -> plain(client.converse(request(MODEL)))));
      all.put("invoke", outcome(() ->
          text(textOf(client.invokeModel(r -> r.modelId(MODEL).body(SdkBytes.fromUtf8String(BODY))).body()))));
      all.put("error", outcome(() -> plain(client.converse(request("does-not-exist")))));
      all.put("throttle", outcome(() -> plain(client.converse(request(THROTTLED)))));
    }
    return all;
  }

  private static Map<String, Map<String, Object>> async() throws Exception {
    Map<String, Map<String, Object>> all = new LinkedHashMap<>();
    try (BedrockRuntimeAsyncClient client = BedrockRuntimeAsyncClient.builder()
        .overrideConfiguration(o -> o.retryStrategy(DefaultRetryStrategy.doNotRetry())).build()) {
      all.put("plain", outcome(() -> plain(client.converse(request(MODEL)).get())));
      all.put("stream", outcome(() -> {
        StringBuilder seen = new StringBuilder();
        client.converseStream(ConverseStreamRequest.builder().modelId(MODEL).messages(HELLO).build(),
            ConverseStreamResponseHandler.builder().subscriber(ConverseStreamResponseHandler.Visitor.builder()
                .onContentBlockDelta(event -> seen.append(event.delta().text())).build()).build()).get();
        return text(seen.toString());
      }));
      all.put("invokeStream", outcome(() -> {
        StringBuilder seen = new StringBuilder();
        client.invokeModelWithResponseStream(r -> r.modelId(MODEL).body(SdkBytes.fromUtf8String(BODY)),
            InvokeModelWithResponseStreamResponseHandler.builder().subscriber(
                InvokeModelWithResponseStreamResponseHandler.Visitor.builder()
                    .onChunk(chunk -> seen.append(textOf(chunk.bytes()))).build()).build()).get();
        return text(seen.toString());
      }));
      all.put("error", outcome(() -> plain(client.converse(request("does-not-exist")).get())));
      all.put("throttle", outcome(() -> plain(client.converse(request(THROTTLED)).get())));
    }
    return all;
  }

  private static String json(Object value) {
    if (value instanceof Map<?, ?> map) {
      return map.entrySet().stream().map(e -> json(e.getKey()) + ":" + json(e.getValue()))
          .collect(Collectors.joining(",", "{", "}"));
    }
    return value instanceof Number ? value.toString() : '"' + String.valueOf(value).replace("\\", "\\\\")
        .replace("\"", "\\\"").replace("\n", "\\n") + '"';
  }

  public static void main(String[] args) throws Exception {
    System.out.println(json(args[0].equals("async") ? async() : sync()));
  }
}
