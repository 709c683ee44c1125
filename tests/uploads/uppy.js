// A page's script: sends the file of #file with Uppy, and says in the title how it ended.
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

globalThis.send = (token) => {
  const uppy = new Uppy({ autoProceed: false, meta: { job: "inspect" } });
  uppy.use(Tus, {
    endpoint: "/task/upload/",
    headers: { Authorization: `Bearer ${token}` },
    retryDelays: Array(40).fill(100),
    chunkSize: 8e6, // else Chromium copies all that is left, at each try anew
    allowedMetaFields: ["job", "name"],
  });
  uppy.on("upload-error", (file, error) => {
    document.title = `failed: ${error}`;
  });
  uppy.on("upload-success", () => {
    document.title = "sent";
  });
  const [data] = document.querySelector("#file").files;
  uppy.addFile({ name: data.name, type: data.type, data });
  uppy.upload();
};
