import com.google.gson.JsonObject;
import io.netty.handler.codec.http.QueryStringDecoder;
import io.netty.handler.codec.http.QueryStringEncoder;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.http.ConflictStatusException;
import org.pytorch.serve.http.StatusResponse;
import org.pytorch.serve.http.messages.RegisterModelRequest;
import org.pytorch.serve.job.Job;
import org.pytorch.serve.servingsdk.Context;
import org.pytorch.serve.servingsdk.ModelServerEndpoint;
import org.pytorch.serve.servingsdk.annotations.Endpoint;
import org.pytorch.serve.servingsdk.annotations.helpers.EndpointTypes;
import org.pytorch.serve.servingsdk.http.Request;
import org.pytorch.serve.servingsdk.http.Response;
import org.pytorch.serve.util.ApiUtils;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.TokenAuthorization;
import org.pytorch.serve.wlm.Model;
import org.pytorch.serve.wlm.ModelManager;
import org.pytorch.serve.wlm.WorkerState;
import org.pytorch.serve.wlm.WorkerThread;

/**
 * Registers and unregisters models of TorchServe 0.12 while its own interface for that is off.
 *
 * <p>TorchServe's {@code POST /models} runs the code in any folder of the machine. This endpoint takes nothing but the
 * name of a file in the server's private store, where only lexport puts archives, each of them verified.
 *
 * <p>{@code POST /lexport?register=FILE&workers=2}, {@code POST /lexport?unregister=NAME&version=1.0}, {@code POST
 * /lexport?retire=NAME&version=1.0&workers=1} and {@code POST /lexport?rotate} at the management address, with its
 * token. TorchServe has released the body when a plugin is called.
 *
 * <p>To retire is what comes before TorchServe scales down: it ends workers at once, and a batch that one has is lost.
 * To rotate is to take the tokens of a new key file.
 */
@Endpoint(
        urlPattern = "lexport",
        endpointType = EndpointTypes.MANAGEMENT,
        description = "Registers and unregisters models of the server's own store.")
public class LexportModels extends ModelServerEndpoint {
    private static final long PATIENCE = 60_000_000_000L; // nanoseconds that batches may take
    private static final long QUIET = 300_000_000L; // nanoseconds without a batch after which none is to come
    private static final Pattern FILE = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._+-]{0,250}\\.mar");

    @Override
    public void doPost(Request request, Response response, Context context) throws IOException {
        try {
            if (request.getParameterMap().containsKey("unregister")) {
                String name = parameter(request, "unregister");
                String version = parameter(request, "version");
                Model model = ModelManager.getInstance().getModel(name, version);
                ApiUtils.unregisterModel(name, version);
                refuseWaiting(model, name + " " + version + " is no longer served.");
                answer(response, 200, "status", "unregistered " + name + " " + version);
            } else if (request.getParameterMap().containsKey("retire")) {
                String name = parameter(request, "retire");
                int left = Integer.parseInt(parameter(request, "workers"));
                retire(ModelManager.getInstance().getModel(name, parameter(request, "version")), left);
                answer(response, 200, "status", "all but " + left + " workers of " + name + " have ended");
            } else if (request.getParameterMap().containsKey("rotate")) {
                if (!TokenAuthorization.isEnabled()) {
                    throw new IllegalArgumentException("The server asks for no tokens.");
                }
                TokenAuthorization.rotate();
                answer(response, 200, "status", "the tokens of the new key file are taken");
            } else {
                StatusResponse done = register(parameter(request, "register"), parameter(request, "workers"));
                int status = done.getHttpResponseCode();
                answer(response, status, status < 400 ? "status" : "message", done.getStatus());
            }
        } catch (ModelNotFoundException | ModelVersionNotFoundException error) {
            answer(response, 404, "message", String.valueOf(error.getMessage()));
        } catch (ConflictStatusException error) {
            answer(response, 409, "message", String.valueOf(error.getMessage()));
        } catch (IllegalArgumentException error) {
            answer(response, 400, "message", String.valueOf(error.getMessage()));
        } catch (Exception error) { // what a model does when it is opened: the answer says it, the log has the rest
            answer(response, 500, "message", String.valueOf(error.getMessage()));
        }
    }

    private static String parameter(Request request, String name) {
        List<String> values = request.getParameterMap().get(name);
        if (values == null || values.size() != 1) {
            throw new IllegalArgumentException("Expected ?register=FILE&workers=N or ?unregister=NAME&version=V.");
        }
        return values.get(0);
    }

    private static StatusResponse register(String file, String workers) throws Exception {
        if (!FILE.matcher(file).matches() || !Files.isRegularFile(store().resolve(file))) {
            throw new IllegalArgumentException("There is no archive " + file + " in the server's store.");
        }
        QueryStringEncoder query = new QueryStringEncoder("/models");
        query.addParam("url", file);
        query.addParam("initial_workers", Integer.toString(Integer.parseInt(workers)));
        query.addParam("synchronous", "true");
        return ApiUtils.registerModel(new RegisterModelRequest(new QueryStringDecoder(query.toString())));
    }

    /** End the workers of a model beyond the first {@code left}, each after the batch that it has. */
    private static void retire(Model model, int left) throws ReflectiveOperationException, InterruptedException {
        List<WorkerThread> workers = ModelManager.getInstance().getWorkers(model.getModelVersionName());
        List<WorkerThread> leaving = workers.subList(Math.min(left, workers.size()), workers.size());
        for (WorkerThread worker : leaving) {
            worker.setState(WorkerState.WORKER_SCALED_DOWN, 200); // so that it is not started again
            ((AtomicBoolean) field("running").get(worker)).set(false);
        }
        long deadline = System.nanoTime() + PATIENCE;
        long idleSince = System.nanoTime();
        while (System.nanoTime() - deadline < 0 && System.nanoTime() - idleSince < QUIET) {
            boolean working = false;
            boolean waiting = false;
            for (WorkerThread worker : leaving) {
                boolean runs = ((AtomicReference<?>) field("currentThread").get(worker)).get() != null;
                working |= runs && field("req").get(worker) != null;
                waiting |= runs;
            }
            if (!waiting) {
                return;
            }
            // One that waits for a request takes none while none comes, and can be ended.
            idleSince = working ? System.nanoTime() : idleSince;
            Thread.sleep(5);
        }
    }

    /** Answer the requests that nobody takes out of a model's queue any more. */
    private static void refuseWaiting(Model model, String reason) throws ReflectiveOperationException {
        if (model == null) { // unregisterModel has thrown by now
            return;
        }
        Field queues = Model.class.getDeclaredField("jobsDb");
        queues.setAccessible(true);
        Object queue = ((Map<?, ?>) queues.get(model)).get(Model.DEFAULT_DATA_QUEUE);
        if (queue instanceof Queue<?>) {
            for (Object job; (job = ((Queue<?>) queue).poll()) != null; ) {
                ((Job) job).sendError(503, reason);
            }
        }
    }

    private static Field field(String name) throws ReflectiveOperationException {
        Field found = WorkerThread.class.getDeclaredField(name);
        found.setAccessible(true);
        return found;
    }

    private static Path store() {
        return Path.of(ConfigManager.getInstance().getModelStore());
    }

    private static void answer(Response response, int status, String key, String text) throws IOException {
        JsonObject body = new JsonObject();
        body.addProperty(key, text);
        response.setStatus(status);
        response.setContentType("application/json");
        response.getOutputStream().write(body.toString().getBytes(StandardCharsets.UTF_8));
    }
}
